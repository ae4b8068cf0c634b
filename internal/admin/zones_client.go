package admin

import (
	"context"
	"net/http"
)

// zoneOperations answers the commands about zones.
func (s *Service) zoneOperations(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/zones", answer(s.CreateZone))
	mux.HandleFunc("POST /v1/zones/list", answer(func(context.Context, struct{}) (*[]Zone, error) {
		all := s.Zones()
		return &all, nil
	}))
	mux.HandleFunc("POST /v1/zones/show", answer(func(_ context.Context, in named) (*Zone, error) { return s.Zone(in.Name) }))
	mux.HandleFunc("POST /v1/zones/delete", answer(s.DeleteZone))
	mux.HandleFunc("POST /v1/zones/records", answer(s.ChangeRecords))
	mux.HandleFunc("POST /v1/zones/import", answer(s.ImportZone))
	mux.HandleFunc("POST /v1/zones/export", answer(func(_ context.Context, in named) (*ExportZoneResult, error) {
		return s.ExportZone(in.Name)
	}))
}

// CreateZone makes a hosted zone.
func (c *Client) CreateZone(ctx context.Context, in CreateZoneRequest) (*Zone, error) {
	return ask[Zone](ctx, c, "zones", in)
}

// Zones lists the hosted zones.
func (c *Client) Zones(ctx context.Context) ([]Zone, error) {
	all, err := ask[[]Zone](ctx, c, "zones/list", struct{}{})
	if err != nil {
		return nil, err
	}
	return *all, nil
}

// Zone shows one, by name or ID, with its record sets.
func (c *Client) Zone(ctx context.Context, name string) (*Zone, error) {
	return ask[Zone](ctx, c, "zones/show", named{name})
}

// DeleteZone deletes a zone, and returns what it was.
func (c *Client) DeleteZone(ctx context.Context, in DeleteZoneRequest) (*Zone, error) {
	return ask[Zone](ctx, c, "zones/delete", in)
}

// ChangeRecords makes changes, all or none.
func (c *Client) ChangeRecords(ctx context.Context, in ChangeRecordsRequest) (*Zone, error) {
	return ask[Zone](ctx, c, "zones/records", in)
}

// ImportZone takes over a zone file.
func (c *Client) ImportZone(ctx context.Context, in ImportZoneRequest) (*ImportZoneResult, error) {
	return ask[ImportZoneResult](ctx, c, "zones/import", in)
}

// ExportZone writes a zone file.
func (c *Client) ExportZone(ctx context.Context, name string) (*ExportZoneResult, error) {
	return ask[ExportZoneResult](ctx, c, "zones/export", named{name})
}
