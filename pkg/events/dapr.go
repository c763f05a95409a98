package events

import (
	"context"

	dapr "github.com/dapr/go-sdk/client"
)

// NewDapr is the bus behind a sidecar.
func NewDapr(client dapr.Client) Bus { return sidecar{client} }

type sidecar struct{ client dapr.Client }

// Publish implements Bus. The content type makes Dapr pass the event on as it is, with its own id, which JetStream's
// component gives to the broker as the message's id.
func (s sidecar) Publish(ctx context.Context, wireTopic string, event []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	return s.client.PublishEvent(ctx, PublishComponent, wireTopic, event, dapr.PublishEventWithContentType(ContentType))
}
