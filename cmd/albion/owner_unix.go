//go:build unix

package main

import (
	"os"
	"syscall"
)

// ownAs gives a file that root has made to the owner of a folder.
func ownAs(folder, file string) error {
	info, err := os.Stat(folder)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return os.Chown(file, int(stat.Uid), int(stat.Gid))
	}
	return nil
}
