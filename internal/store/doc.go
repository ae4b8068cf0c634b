// Package store keeps the State: one writer, durable before it is acknowledged,
// watchable.
//
//	s, err := store.Open(store.Config{Dir: "/var/lib/albion"})
//	defer s.Close()
//	next, err := s.Update(ctx, func(d *albion.Draft) error {
//		albion.Put(d, group)
//		return nil
//	})
//	for state := range s.Watch(ctx) { … }
//
// Everything lives in one directory: albion.db, a bbolt database with a bucket
// per kind and a key per object, and key, 32 random bytes that only its owner
// may read. What is of albion.KindKey is sealed with it, so a copy of the
// database alone gives no private key away; a backup needs both files.
//
// A directory belongs to one process at a time. The store does not decide what a
// good State is (albion.Validate does), nor what a change means (the operations
// do), and it starts no goroutine.
package store
