// Package acm holds the operations on certificates: to read what people have in
// PEM files, to import it, to issue from the balancer's own authority, to renew
// and to export.
//
//	sources, err := acm.ReadDir("/etc/letsencrypt/live/chat.example.com")
//	bundle, err := acm.Read(now, sources...)
//	cert, err := acm.Put(draft, acm.Import{Name: "chat", Bundle: bundle, Now: now, ID: id})
//
// The operations are functions of values: time, randomness and identities come
// in as arguments, and what changes is an *albion.Draft. ReadFiles and ReadDir
// touch a disk, and so do the programs that a Herald runs. Four things wait once
// they run: a Renewer renews what the local authority has issued, a Manager obtains
// from CAs, a Witness looks at what our listeners show, and a Herald tells hooks.
//
// What a user did wrong is an *albion.Error whose message is one sentence that
// says what was found where and what to do. No message and no field of a Bundle
// but Key holds anything of a private key.
//
// It does not serve certificates (package keyring does), keep them (package
// store) or get them from a public authority (package acme).
package acm
