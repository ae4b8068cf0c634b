package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMedianAndSpread(t *testing.T) {
	for _, c := range []struct {
		values         []float64
		median, spread float64
	}{
		{nil, 0, 0},
		{[]float64{3}, 3, 0},
		{[]float64{9, 1, 2}, 2, 4},
		{[]float64{4, 2, 1, 3}, 2.5, 1.2},
	} {
		before := slices.Clone(c.values)
		if m, s := median(c.values), spread(c.values); m != c.median || math.Abs(s-c.spread) > 1e-9 {
			t.Errorf("%v: median %v, spread %v", c.values, m, s)
		}
		if !slices.Equal(before, c.values) {
			t.Errorf("%v was sorted in place", before)
		}
	}
}

func TestHistogramIsRightWithinItsBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		durations := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 200).Draw(t, "durations")
		var whole, left, right histogram
		for i, d := range durations {
			whole.add(time.Duration(d))
			if i%2 == 0 {
				left.add(time.Duration(d))
			} else {
				right.add(time.Duration(d))
			}
		}
		left.merge(&right)
		if left != whole {
			t.Fatal("merged halves are not the whole")
		}
		slices.Sort(durations)
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		exact := durations[int(q*float64(len(durations)-1))]
		got := int64(whole.quantile(q))
		if got > exact || exact-got > exact/fine {
			t.Fatalf("quantile %v is %d, exactly %d", q, got, exact)
		}
	})
}

func TestBucketsAreInOrder(t *testing.T) {
	if bucketOf(-1) != 0 || bucketOf(math.MaxInt64) >= 64*fine {
		t.Fatal(bucketOf(-1), bucketOf(math.MaxInt64))
	}
	rapid.Check(t, func(t *rapid.T) {
		a := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "a"))
		b := time.Duration(rapid.Int64Range(int64(a), math.MaxInt64).Draw(t, "b"))
		if bucketOf(a) > bucketOf(b) || valueOf(bucketOf(a)) > a || bucketOf(valueOf(bucketOf(a))) != bucketOf(a) {
			t.Fatal(a, b)
		}
	})
}

func samplesOf(values ...float64) []sample {
	var all []sample
	for _, v := range values {
		all = append(all, sample{Value: v, CPU: v, Rate: 1000, P50: .1, P99: 1, P999: 2, Memory: 20})
	}
	return all
}

func TestJudge(t *testing.T) {
	by := map[string][]sample{
		"Albion": samplesOf(20, 21, 22), "nginx": samplesOf(35, 35, 35), "HAProxy": samplesOf(30, 30, 30), "Caddy": samplesOf(100, 100, 100),
	}
	for _, c := range []struct {
		name           string
		work           work
		best           string
		ratio          float64
		met, caddy, no bool
	}{
		{"the better one counts", work{Metric: perOperation, Goal: .7}, "HAProxy", .7, true, true, false},
		{"a goal that is missed", work{Metric: perOperation, Goal: .6}, "HAProxy", .7, false, true, false},
		{"a goal of one peer", work{Metric: perTunnel, Goal: .7, Than: "nginx"}, "nginx", .6, true, true, false},
		{"more is better", work{Metric: perSecond, Goal: 2}, "nginx", 35. / 21, true, false, false},
	} {
		v := judge(&c.work, by)
		if v.BestName != c.best || math.Abs(v.Ratio-c.ratio) > 1e-9 || v.Met != c.met || v.CaddyMet != c.caddy || v.Noisy != c.no {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

func TestJudgeWithoutOthers(t *testing.T) {
	v := judge(&work{Metric: perOperation, Goal: .7}, map[string][]sample{"Albion": samplesOf(1, 2)})
	if v.Ratio != 0 || v.Met || v.CaddyMet || !v.Noisy {
		t.Errorf("%+v", v)
	}
}

func TestSampleOf(t *testing.T) {
	before := moment{balancer: usage{CPU: time.Second, Memory: 10 * mib}, around: time.Second}
	after := moment{balancer: usage{CPU: 2 * time.Second, Memory: 18 * mib}, around: 3 * time.Second}
	res := &result{Operations: 1024, Elapsed: 2 * time.Second, P99: 3 * time.Millisecond, Failed: 1}
	for m, want := range map[metric]float64{perOperation: 1e6 / 1024, perTunnel: 8, tail: 3, perSecond: 0} {
		s := sampleOf(&work{Metric: m}, before, after, res)
		if math.Abs(s.Value-want) > 1e-9 || s.Rate != 512 || s.Memory != 18 || s.Around != 2e6/1024 || s.Failed != 1 {
			t.Errorf("%s: %+v", m, s)
		}
	}
}
