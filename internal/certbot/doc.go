// Package certbot reads what certbot keeps below /etc/letsencrypt, and writes a
// folder of the same form for other servers.
//
//	tree, err := certbot.Read("/etc/letsencrypt")
//	for _, l := range tree.Lineages {
//		fmt.Println(l.Name, l.Directory, l.Authenticator, l.Version)
//	}
//	written, err := certbot.WriteLive("/srv/certs", "chat.example.com", pem)
//
// What Read finds it takes as it is: whether a chain is one, and belongs to its
// key, package acm says. Nothing that Read looks at is changed.
//
// It does not decide what becomes of a lineage here, run hooks, or talk to a CA.
package certbot
