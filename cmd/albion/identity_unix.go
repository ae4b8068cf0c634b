//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"syscall"
)

// identity tells a file from another one that took its name in the same moment.
func identity(info fs.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	}
	return ""
}
