package doctor

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// host is a service that answers for names of others.
type host struct {
	name string
	cdn  bool // it fetches from a server of one's own, so that HTTP can reach that
}

// hostOfAlias recognises a service by what a name is an alias of.
func hostOfAlias(target string) (host, bool) {
	for _, h := range []struct {
		ends string
		host
	}{
		{"github.io", host{"GitHub Pages", false}},
		{"gitlab.io", host{"GitLab Pages", false}},
		{"bitbucket.io", host{"Bitbucket Cloud", false}},
		{"netlify.app netlify.com netlifyglobalcdn.com", host{"Netlify", false}},
		{"vercel.app vercel-dns.com vercel-dns-016.com vercel-dns-017.com now.sh", host{"Vercel", false}},
		{"pages.dev", host{"Cloudflare Pages", false}},
		{"workers.dev", host{"Cloudflare Workers", false}},
		{"cdn.cloudflare.net", host{"Cloudflare", true}},
		{"cloudfront.net", host{"Amazon CloudFront", true}},
		{"elasticbeanstalk.com", host{"AWS Elastic Beanstalk", false}},
		{"elb.amazonaws.com", host{"an AWS load balancer", false}},
		{"awsglobalaccelerator.com", host{"AWS Global Accelerator", true}},
		{"amplifyapp.com", host{"AWS Amplify", false}},
		{"herokuapp.com herokudns.com herokussl.com", host{"Heroku", false}},
		{"azurewebsites.net", host{"Azure App Service", false}},
		{"azurestaticapps.net", host{"Azure Static Web Apps", false}},
		{"azureedge.net azurefd.net", host{"Azure's CDN", true}},
		{"web.app firebaseapp.com", host{"Firebase Hosting", false}},
		{"run.app ghs.googlehosted.com", host{"Google Cloud", false}},
		{"onrender.com", host{"Render", false}},
		{"fly.dev", host{"Fly.io", false}},
		{"up.railway.app", host{"Railway", false}},
		{"surge.sh", host{"Surge", false}},
		{"readthedocs.io", host{"Read the Docs", false}},
		{"wixdns.net", host{"Wix", false}},
		{"squarespace.com", host{"Squarespace", false}},
		{"myshopify.com", host{"Shopify", false}},
		{"wordpress.com", host{"WordPress.com", false}},
		{"fastly.net fastlylb.net", host{"Fastly", true}},
		{"akamaiedge.net akamai.net edgekey.net edgesuite.net", host{"Akamai", true}},
		{"b-cdn.net", host{"bunny.net", true}},
	} {
		for end := range strings.FieldsSeq(h.ends) {
			if target == end || strings.HasSuffix(target, "."+end) {
				return h.host, true
			}
		}
	}
	if strings.HasSuffix(target, ".amazonaws.com") && strings.Contains(target, "s3-website") || strings.Contains(target, ".s3.") {
		return host{"Amazon S3", false}, true
	}
	return host{}, false
}

// hostOfAddress recognises those that have fixed addresses for names that cannot
// be aliases.
func hostOfAddress(a netip.Addr) (host, bool) {
	for _, h := range []struct {
		addresses string
		host
	}{
		{"185.199.108.0/22 2606:50c0:8000::/46", host{"GitHub Pages", false}},
		{"75.2.60.5/32 99.83.231.61/32", host{"Netlify", false}},
		{"76.76.21.0/24", host{"Vercel", false}},
		{"199.36.158.0/24", host{"Firebase Hosting", false}},
		{"104.16.0.0/13 104.24.0.0/14 172.64.0.0/13 188.114.96.0/20 162.159.0.0/16 2606:4700::/32", host{"Cloudflare", true}},
	} {
		for text := range strings.FieldsSeq(h.addresses) {
			if p, err := netip.ParsePrefix(text); err == nil && p.Contains(a) {
				return h.host, true
			}
		}
	}
	return host{}, false
}

// hostOfAnswer recognises a service by how it answers.
func hostOfAnswer(h http.Header) (host, bool) {
	server := strings.ToLower(h.Get("Server"))
	via := strings.ToLower(strings.Join(h.Values("Via"), " "))
	switch {
	case server == "github.com" || h.Get("X-Github-Request-Id") != "":
		return host{"GitHub Pages", false}, true
	case server == "cloudflare" || h.Get("Cf-Ray") != "":
		return host{"Cloudflare", true}, true
	case strings.Contains(via, "cloudfront") || h.Get("X-Amz-Cf-Id") != "":
		return host{"Amazon CloudFront", true}, true
	case server == "netlify":
		return host{"Netlify", false}, true
	case server == "vercel":
		return host{"Vercel", false}, true
	case server == "amazons3":
		return host{"Amazon S3", false}, true
	case server == "heroku" || strings.Contains(via, "vegur"):
		return host{"Heroku", false}, true
	case h.Get("X-Served-By") != "" && strings.HasPrefix(h.Get("X-Served-By"), "cache-"):
		return host{"Fastly", true}, true
	case server == "akamaighost":
		return host{"Akamai", true}, true
	case strings.HasPrefix(server, "awselb"):
		return host{"an AWS load balancer", false}, true
	}
	return host{}, false
}

// elsewhere is the service that answers for the subject, if one does.
func (s *sight) elsewhere() (host, bool) {
	if s.from.IsValid() {
		return host{}, false // what is looked at is not where the name leads
	}
	if s.names != nil {
		for _, target := range s.names.chain {
			if h, ok := hostOfAlias(target); ok {
				return h, true
			}
		}
	}
	for _, a := range s.addresses() {
		if h, ok := hostOfAddress(a); ok {
			return h, true
		}
	}
	for _, w := range []*walkSeen{s.plain, s.secure} {
		if w == nil {
			continue
		}
		// What answers for another name says nothing of this one.
		i := slices.IndexFunc(w.hops, func(h hop) bool { return h.url.Hostname() == s.subject.Name })
		if i >= 0 {
			if h, ok := hostOfAnswer(w.hops[i].header); ok {
				return h, true
			}
		}
	}
	return host{}, false
}
