package h2

import "time"

// budget bounds how often something may happen that costs work and brings none:
// so many times at once, and then so many a second.
type budget struct {
	burst, rate float64
	spent       float64
	at          time.Time
}

// spend says whether it may happen once more.
func (b *budget) spend(now time.Time) bool {
	if since := now.Sub(b.at); since > 0 {
		b.spent = max(0, b.spent-since.Seconds()*b.rate)
		b.at = now
	}
	b.spent++
	return b.spent <= b.burst
}

// grant makes room for n more: work was done that explains them.
func (b *budget) grant(n float64) { b.spent = max(0, b.spent-n) }

// budgets are those of one connection. Each covers floods of one kind:
//
//   - resets: streams that end before their answer does, be it that the client
//     resets them (CVE-2023-44487) or makes us do it (CVE-2025-8671). A page that
//     is left in the middle resets all of its streams, once.
//   - control: PING, SETTINGS, PRIORITY, frames of unknown types, GOAWAY, empty
//     DATA and CONTINUATION (CVE-2019-9512, -9515, -9518, CVE-2024-27316), and
//     what still comes for streams that are over.
//   - windows: WINDOW_UPDATE. Ordinary are two for every few kilobytes of content
//     that were sent.
type budgets struct{ resets, control, windows budget }

// explainedBy is how many bytes of content explain one WINDOW_UPDATE: a client
// that reads in small pieces may say so for its stream and for the connection.
const explainedBy = 256

func newBudgets(now time.Time) budgets {
	return budgets{
		resets:  budget{burst: 256, rate: 100, at: now},
		control: budget{burst: 1024, rate: 100, at: now},
		windows: budget{burst: 4096, rate: 1000, at: now},
	}
}
