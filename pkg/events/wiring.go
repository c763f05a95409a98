package events

import (
	"context"
	"strings"

	"github.com/tandemhq/tandem/pkg/topology"
)

// Names that the run configuration must agree with. They say nothing of app-ids, so that a group's events find it in
// every topology.

// PublishComponent is the Dapr pub/sub component that every app-id publishes through. Publishing has no consumer and so
// no identity to keep: one component serves all groups.
const PublishComponent = "events"

// Component is the Dapr pub/sub component that brings one topic to one group, such as
// "events-analytics-integrations-records-changed". It is one a topic, not one a group, because Dapr's JetStream component
// makes one durable consumer with one subject filter out of its metadata: its second subscription fails.
func Component(group topology.Group, topic string) string {
	return "events-" + ConsumerID(group, topic)
}

// ConsumerID is the name of the broker's consumer behind Component: durableName and queueGroupName in JetStream,
// consumerID elsewhere.
func ConsumerID(group topology.Group, topic string) string {
	return string(group) + "-" + strings.ReplaceAll(topic, ".", "-")
}

// Route is where the sidecar delivers a topic's events to a group.
func Route(group topology.Group, topic string) string {
	return "/dapr/events/" + string(group) + "/" + wirePrefix + topic
}

// Subscription is one entry of the answer to GET /dapr/subscribe.
type Subscription struct {
	PubsubName string `json:"pubsubname"`
	Topic      string `json:"topic"`
	Route      string `json:"route"`
}

// Bus takes events to their consumers. It is safe for concurrent use.
type Bus interface {
	// Publish returns when the broker has taken the event. Publishing an event again, after a crash, is allowed: brokers
	// and consumers know it by its id.
	Publish(ctx context.Context, wireTopic string, event []byte) error
}
