//go:build !linux

package store

func volatile(string) bool { return false }
