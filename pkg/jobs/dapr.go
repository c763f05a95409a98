package jobs

import (
	"context"
	"fmt"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What Dapr does with a firing that the app answers with an error.
const (
	retries       = 5
	retryInterval = 5 * time.Second
)

// NewDapr keeps schedules in Dapr's scheduler. It files them under the app-id, so that each home of a group has its own.
func NewDapr(client dapr.Client) Registrar { return sidecar{client} }

type sidecar struct{ client dapr.Client }

func (s sidecar) Schedule(ctx context.Context, name, schedule string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if known, err := s.client.GetJob(ctx, name); err == nil && known.Schedule != nil && *known.Schedule == schedule {
		return nil
	}
	job := dapr.NewJob(name, dapr.WithJobSchedule(schedule),
		dapr.WithJobConstantFailurePolicyMaxRetries(retries), dapr.WithJobConstantFailurePolicyInterval(retryInterval))
	job.Overwrite = true
	return s.client.ScheduleJob(ctx, job)
}

func (s sidecar) Delete(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := s.client.DeleteJob(ctx, name); err != nil && status.Code(err) != codes.NotFound {
		return fmt.Errorf("end schedule %s: %w", name, err)
	}
	return nil
}
