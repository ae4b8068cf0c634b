package keyring

import (
	"crypto/tls"
	"slices"
)

// policy is one of ALB's security policies ("Security policies for your
// Application Load Balancer"), as far as crypto/tls can follow it.
//
// Unlike AWS, a few things differ, none of which a current client needs:
//   - ECDHE-ECDSA-AES256-SHA384, ECDHE-RSA-AES256-SHA384 and AES256-SHA256 are
//     never chosen, because crypto/tls does not have them. They are CBC suites;
//     who offers one also offers its AES-GCM twin or an AES128 suite.
//   - every policy with TLS 1.3 has all three of its suites, and the order in
//     which suites are preferred is that of crypto/tls.
type policy struct {
	min, max uint16
	suites   []uint16 // of TLS 1.2 and before
	hybrid   bool     // ML-KEM beside the classical curves
}

// lookup finds a policy by ALB's name for it.
func lookup(name string) (policy, bool) {
	gcm := []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	}
	cbc := slices.Concat(gcm, []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	})
	ext1 := slices.Concat(cbc, []uint16{
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
	})
	ext2 := slices.Concat(ext1, []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	})

	const v10, v11, v12, v13 = tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13
	switch name {
	case "ELBSecurityPolicy-TLS13-1-3-2021-06":
		return policy{min: v13, max: v13}, true
	case "ELBSecurityPolicy-TLS13-1-3-PQ-2025-09":
		return policy{min: v13, max: v13, hybrid: true}, true
	case "ELBSecurityPolicy-TLS13-1-2-Res-2021-06":
		return policy{v12, v13, gcm, false}, true
	case "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09":
		return policy{v12, v13, gcm, true}, true
	case "ELBSecurityPolicy-TLS13-1-2-2021-06":
		return policy{v12, v13, cbc, false}, true
	case "ELBSecurityPolicy-TLS13-1-2-PQ-2025-09":
		return policy{v12, v13, cbc, true}, true
	case "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06":
		return policy{v12, v13, ext1, false}, true
	case "ELBSecurityPolicy-TLS13-1-2-Ext1-PQ-2025-09":
		return policy{v12, v13, ext1, true}, true
	case "ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06":
		return policy{v12, v13, ext2, false}, true
	case "ELBSecurityPolicy-TLS13-1-2-Ext2-PQ-2025-09":
		return policy{v12, v13, ext2, true}, true
	case "ELBSecurityPolicy-TLS13-1-1-2021-06":
		return policy{v11, v13, ext2, false}, true
	case "ELBSecurityPolicy-TLS13-1-0-2021-06":
		return policy{v10, v13, ext2, false}, true
	case "ELBSecurityPolicy-TLS13-1-0-PQ-2025-09":
		return policy{v10, v13, ext2, true}, true
	case "ELBSecurityPolicy-2016-08":
		return policy{v10, v12, ext2, false}, true
	}
	return policy{}, false
}

// curves are the key exchanges of a policy. crypto/tls offers the hybrid ones
// by default, so that every policy says what it means.
func (p policy) curves() []tls.CurveID {
	classical := []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	if !p.hybrid {
		return classical
	}
	return append([]tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024}, classical...)
}
