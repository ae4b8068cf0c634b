package albion

import "time"

// Seen is what the data plane observes, as the API shows it: never part of a
// State, never stored.
type Seen struct {
	Listeners   []ListenerSeen
	Targets     []TargetSeen
	NameServers []NameServerSeen
}

// ListenerSeen is how a listener fares.
type ListenerSeen struct {
	Listener    ARN
	Address     string // where it listens, HOST:PORT
	Serving     bool
	Problem     string // why it does not serve
	Connections int    // open now
}

// TargetSeen is how a target fares: DescribeTargetHealth, and what is left of
// its work.
type TargetSeen struct {
	Group       ARN
	Target      Target
	Health      Health
	Outstanding int       // requests and tunnels in flight
	Until       time.Time // of a draining target: when what is left is closed
}

// Health is a target's state, with the reason when it is not healthy.
type Health struct {
	State       HealthState
	Reason      HealthReason
	Description string
	Since       time.Time
}

// HealthState is ALB's TargetHealth.State.
type HealthState string

// The states of a target.
const (
	Initial     HealthState = "initial"
	Healthy     HealthState = "healthy"
	Unhealthy   HealthState = "unhealthy"
	Unused      HealthState = "unused"      // no listener forwards to its group
	Draining    HealthState = "draining"    // deregistered, with work left
	Unavailable HealthState = "unavailable" // health checks are off
)

// HealthReason is ALB's TargetHealth.Reason.
type HealthReason string

// The reasons that the data plane gives.
const (
	ReasonRegistration   HealthReason = "Elb.RegistrationInProgress"
	ReasonInitial        HealthReason = "Elb.InitialHealthChecking"
	ReasonMismatch       HealthReason = "Target.ResponseCodeMismatch"
	ReasonTimeout        HealthReason = "Target.Timeout"
	ReasonFailed         HealthReason = "Target.FailedHealthChecks"
	ReasonNotInUse       HealthReason = "Target.NotInUse"
	ReasonDeregistration HealthReason = "Target.DeregistrationInProgress"
	ReasonDisabled       HealthReason = "Target.HealthCheckDisabled"
	ReasonInternal       HealthReason = "Elb.InternalError"
)

// Metric is one measured value, or one distribution, at one moment.
type Metric struct {
	Name   string // Prometheus' conventions: albion_requests_total
	Help   string
	Kind   MetricKind
	Labels []Label
	Value  float64   // of a counter or gauge
	Bounds []float64 // of a histogram: the upper bounds of Counts, which has one more
	Counts []uint64  // not cumulative
	Sum    float64
}

// Label tells apart the metrics of one name.
type Label struct{ Name, Value string }

// MetricKind says how a Metric behaves over time.
type MetricKind int

// A Counter only grows; a Gauge goes up and down; a Histogram counts by size.
const (
	Counter MetricKind = iota
	Gauge
	Histogram
)
