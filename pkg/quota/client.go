package quota

import "context"

// Client takes what a plan limits. It is safe for concurrent use.
type Client struct{ authority Authority }

// NewClient asks authority.
func NewClient(authority Authority) *Client { return &Client{authority} }

// Take takes amount of a resource for the thing with the id, e.g. one of Connections for a connection that is about to be
// made. Errors are problems: 402 quota_exceeded, with nothing taken; 404 not_found for an organization that is none; or auth
// could not be asked, and nobody knows whether something was taken. Asking again with the same id counts once, also after a
// success. What then is not made is to be given back.
func (c *Client) Take(ctx context.Context, organization string, r Resource, id string, amount int64) error {
	return c.authority.TakeQuota(ctx, Claim{Organization: organization, Resource: r, ID: id, Amount: amount})
}

// Release gives back what was taken for the thing with the id, after the thing is gone. Giving back what was not taken
// changes nothing. What is metered is used for good: 422 validation_failed.
func (c *Client) Release(ctx context.Context, organization string, r Resource, id string) error {
	return c.authority.ReleaseQuota(ctx, Claim{Organization: organization, Resource: r, ID: id, Amount: 1})
}
