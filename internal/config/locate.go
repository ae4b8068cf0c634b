package config

import "github.com/albion-lb/albion"

func key(_ albion.Kind, field string) string { return field }
