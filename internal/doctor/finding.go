package doctor

import (
	"cmp"
	"slices"
	"time"
)

// Grade says how much a finding matters.
type Grade string

// The grades, worst first: with a Problem something does not work; a Warning may
// hurt, now or later; a Note is worth knowing; OK was looked at and is in order.
const (
	Problem Grade = "problem"
	Warning Grade = "warning"
	Note    Grade = "note"
	OK      Grade = "ok"
)

// Grades lists the grades, worst first.
func Grades() []Grade { return []Grade{Problem, Warning, Note, OK} }

// AtLeast says whether g is as bad as another grade, or worse.
func (g Grade) AtLeast(other Grade) bool {
	return slices.Index(Grades(), g) <= slices.Index(Grades(), other)
}

// Topic is what a finding is about.
type Topic string

// The topics, in the order in which a browser meets them.
const (
	Names       Topic = "names"
	Ports       Topic = "ports"
	Clock       Topic = "clock"
	Certificate Topic = "certificate"
	Web         Topic = "web"
	Page        Topic = "page"
	Sockets     Topic = "sockets"
	Servers     Topic = "servers"
	Authorities Topic = "authorities"
)

func topics() []Topic {
	return []Topic{Names, Ports, Clock, Certificate, Web, Page, Sockets, Servers, Authorities}
}

// Finding is one thing that was found out.
type Finding struct {
	Grade  Grade
	Topic  Topic
	Code   string   // stable, for programs: mixed-content
	Says   string   // a sentence without the full stop
	Detail []string `json:",omitempty"` // what was seen, a line each
	Next   string   `json:",omitempty"` // the one next step; every Problem and Warning has one
}

// Method is a way to prove the name to a CA, and whether it can work.
type Method struct {
	Name  string // as `albion cert request --challenge` takes it
	Works Verdict
	Why   string
}

// Verdict says whether a Method can work.
type Verdict string

// Unsure is for what cannot be told from here.
const (
	Works  Verdict = "works"
	Cannot Verdict = "cannot"
	Unsure Verdict = "unsure"
)

// Report is what was found out about a subject.
type Report struct {
	URL      string
	Name     string
	At       time.Time
	Summary  string    // one sentence
	Findings []Finding // worst first, each grade in the order in which a browser meets them
	Methods  []Method  // none for what no public CA issues for
	Unseen   []string  `json:",omitempty"` // what could not be looked at, and why
}

// Worst is the worst grade of all findings.
func (r *Report) Worst() Grade {
	if len(r.Findings) == 0 {
		return OK
	}
	return r.Findings[0].Grade
}

// Of lists the findings of one grade.
func (r *Report) Of(g Grade) []Finding {
	var all []Finding
	for _, f := range r.Findings {
		if f.Grade == g {
			all = append(all, f)
		}
	}
	return all
}

// order puts findings worst first, and otherwise as a browser meets them.
func order(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(
			slices.Index(Grades(), a.Grade)-slices.Index(Grades(), b.Grade),
			slices.Index(topics(), a.Topic)-slices.Index(topics(), b.Topic),
		)
	})
}
