package config

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/albion-lb/albion"
)

// File is what one albion.yaml declares. It belongs to one goroutine.
type File struct {
	name  string // as it was given
	dir   string // its folder, absolute
	lines []string

	certificates   []certificate
	securityGroups []securityGroup
	targetGroups   []targetGroup
	loadBalancers  []loadBalancer
	nameService    *nameService // nil: none
	hostedZones    []hostedZone
	hooks          []hook

	objects map[albion.Change]places // which object of the State stands where, since Apply
}

// What a file declares is the model's own type without identity, next to what
// the file names instead of an ARN.
type (
	certificate struct {
		at         places
		name       string
		domains    []string // of one that is issued
		request    request  // by whom, unless by the local authority
		files      []source // of one that is imported
		deliveries []delivery
	}
	source struct {
		key  string // that names it
		path string // absolute
	}
	securityGroup struct {
		at   places
		want albion.SecurityGroup
	}
	targetGroup struct {
		at   places
		want albion.TargetGroup
	}
	loadBalancer struct {
		at        places
		want      albion.LoadBalancer
		groups    []ref
		listeners []listener
	}
	listener struct {
		at           places
		want         albion.Listener
		certificates []ref
		action       action
		rules        []rule
	}
	rule struct {
		at     places
		want   albion.Rule
		action action
	}
	action struct {
		forward  []share
		redirect *albion.Redirect
		fixed    *albion.FixedResponse
	}
	share struct {
		group  ref
		weight int
	}
	ref struct {
		name string
		at   place
	}
)

// Parse reads a whole file, or refuses it whole: the error is a *Problem or
// Problems, one for each thing that is wrong. The name is what messages call
// the file, and its folder is what other files are relative to. What spans
// objects, such as the name of a target group that nobody declares, is for
// Apply and for albion.Validate to refuse.
func Parse(name string, data []byte) (*File, error) {
	return parse(name, data, nil)
}

func parse(name string, data []byte, shape func(string, []string)) (*File, error) {
	f := &File{name: name, dir: filepath.Dir(name), objects: map[albion.Change]places{}}
	if abs, err := filepath.Abs(f.dir); err == nil {
		f.dir = abs
	}
	if len(data) > MaxFile {
		return nil, f.problem(place{1, 1}, "the file has %d bytes: a configuration has at most %d", len(data), MaxFile)
	}
	f.lines = strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data)), "\n") // YAML 1.2 §5.4
	if at, ok := notText(f.lines); !ok {
		return nil, f.problem(at, "not UTF-8 text")
	}
	doc, err := f.parseYAML(data)
	if err != nil {
		return nil, err
	}
	r := &reader{file: f, anchors: anchors(doc), budget: maxNodes, shape: shape}
	root := node{r: r, at: place{1, 1}, keyAt: place{1, 1}}
	if doc != nil {
		root = root.make(doc, "", placeOf(doc))
	}
	root.document()
	if r.budget < 0 {
		return nil, f.problem(place{1, 1}, "the file stands for more than %d values: its aliases multiply", maxNodes)
	}
	if err := r.found.orNil(); err != nil {
		return nil, err
	}
	return f, nil
}

// Files lists the other files that this one reads, the parts of its
// certificates, absolute and sorted: a watcher looks at them too.
func Files(f *File) []string {
	var all []string
	for _, c := range f.certificates {
		for _, s := range c.files {
			all = append(all, s.path)
		}
		all = append(all, c.request.files()...)
		for _, fallback := range c.request.fallbacks {
			all = append(all, fallback.files()...)
		}
	}
	for _, h := range f.hooks {
		if h.secret != nil && h.secret.file != "" {
			all = append(all, h.secret.file)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
