package main

import (
	"fmt"
	"strings"
)

// page is docs/benchmarks.md.
func (r *report) page() string {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\nThis page is written by `make bench`, which you can run yourself: it holds Albion side by side with " +
		join(r.Peers[1:]) + " and writes what it finds, wherever Albion loses too.\n\n")
	if n := r.noisy(); n != "" {
		b.WriteString(n + " Run it again when nothing else does.\n\n")
	}
	b.WriteString("![Processor time and memory, relative to the better of nginx and HAProxy](benchmarks.svg)\n\n")
	b.WriteString(r.table())
	fmt.Fprintf(&b, "\nMedians of %d rounds; of many certificates, one round. The bold ones are compared: the ratio is Albion's number divided by that of the better of nginx and HAProxy "+
		"(of HAProxy alone for idle tunnels), turned over where more is better, so that less than 1 is good for Albion everywhere. "+
		"The spread is from the lowest to the highest round, relative to the median, of whoever varied most; (!) marks a work whose rounds differed by more than %.0f %%, or in which other programs took more than %.0f %% of the processors. "+
		"Against Caddy the goal is %.2f in every work that has a goal.\n\n", r.Plan.Rounds, 100*noisy, 100*foreignNoise, caddyGoal)
	b.WriteString("## Where Albion loses, or misses its goal\n\n")
	if losses := r.losses(); len(losses) > 0 {
		b.WriteString(strings.Join(losses, "\n") + "\n")
	} else {
		b.WriteString("Nowhere in this run.\n")
	}
	b.WriteString("\n## All numbers\n\nOf the small answers at full speed, rates and latencies say how much of the processors the load and the origin leave, " +
		"as much as they say about the balancer; the load's CPU is what load and origin took for each operation. Others is the largest share of the processors that programs of no concern took in a round. Samples of every round are in [benchmarks.json](benchmarks.json).\n\n")
	b.WriteString(r.details())
	b.WriteString(r.conditions())
	return b.String()
}

// conditions says how it was measured.
func (r *report) conditions() string {
	return fmt.Sprintf(`
## How it is measured

- %[1]s; %[2]d cores; load average %.1[3]f at the start. %[4]s.
- The balancer, the origin and the load are processes of their own on the same machine and talk over loopback. Each balancer has %[2]d workers or threads. Only one balancer runs at a time; each work and round begins with a fresh one, and who comes first rotates.
- Processor time is user and system time of all processes of the balancer, ended children included, divided by the operations that were answered. It depends far less than throughput on what else the processors have to do.
- Memory is the resident set of all processes of the balancer, a page that several of them share counted once (Pss); of a tunnel, what it grew by while the tunnels were opened, divided by their number, %[5]s after the last one.
- Each round measures %[6]s after %[7]s of warming up; bodies of 100 MiB are counted instead: %[8]d for each client.
- Clients speak TLS 1.3 with X25519 and AES-128-GCM to everybody, check the certificate (ECDSA P-256), and accept nothing else. Over HTTP/2 one write carries as many requests as are ready, header fields are in the table after the first request, and whoever asks for another connection (Albion after 10,000 requests, as ALB does) gets it; that costs it a handshake. A resumed handshake that was not resumed is an error, and so is a wrong status, length or echo.
- Everybody keeps connections to the origin, streams uploads, and adds X-Forwarded-For, -Proto, -Port and an identifier of the request (Caddy: X-Forwarded-Host instead). Access logs are off unless a work says otherwise; then everybody writes to a file in its own format: nginx, Albion and Caddy buffered or batched, HAProxy line by line to its standard output, which is what it can do without a log daemon.
- The works at half of Albion's own maximum send requests at a fixed rate, half of what Albion answered in the same work at full speed. A request that is late because none of its clients or streams was free counts from when it was due; the load's own lateness in noticing the time does not count.
- A change of the configuration is made in the balancer's own way (albion apply, nginx -s reload, HAProxy's master socket, Caddy's API), and counts when a new connection gets the new configuration's answer. A request on a kept connection that is closed without an answer counts as unanswered; a browser would repeat it.
- Certificates: each balancer is given %[9]s of them in its own way (Albion: its file; nginx: a server block each; HAProxy: a crt-list; Caddy: a folder), and clients ask for each name in turn, once the balancer is done with starting. The start is from nothing until the first answer.
- Other programs' share of the processors is what the machine was busy with in a round and what belongs to nobody in this run.
- The configurations are in [bench/peers](../bench/peers). If one of them can be made better for its balancer, that is a mistake of ours.
`, r.System, r.Cores, r.Load, r.versions(), r.Plan.Settle, r.Plan.Measure, r.Plan.Warm, r.Plan.Large, count(r.Plan.Certificates))
}

func join(names []string) string {
	switch len(names) {
	case 0:
		return "nobody"
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
