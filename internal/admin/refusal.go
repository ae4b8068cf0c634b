package admin

import "time"

// Refusal is an edit of the watched file that was refused: what runs is what the
// file said before.
type Refusal struct {
	File    string
	Problem string // with the places in the file
	At      time.Time
}

// refused is the last edit, when it was refused.
func (s *Service) refused() *Refusal {
	if s.cfg.Refused == nil {
		return nil
	}
	return s.cfg.Refused()
}
