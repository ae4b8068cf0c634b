package store

import "syscall"

// volatile knows tmpfs and ramfs (statfs(2)).
func volatile(dir string) bool {
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) != nil {
		return false
	}
	kind := uint32(fs.Type) // a signed number of 32 or 64 bits, by machine
	return kind == tmpfs || kind == ramfs
}
