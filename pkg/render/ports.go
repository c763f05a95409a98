package render

import "fmt"

// Fixed ports stay below 32768, where Linux begins to hand out ephemeral ones.
const maxPort = 32767

// devstackPort is devstack's first port; the others follow it in the order of DevstackPorts.
const devstackPort = 8090

// Ports are what devstack listens on, all on loopback. They are consecutive.
type Ports struct {
	HTTP, SMTP, NATS                             int
	Placement, PlacementHealth, PlacementMetrics int
	Scheduler, SchedulerHealth, SchedulerMetrics int
	EtcdClient, EtcdPeer, PlacementRaft          int
}

// DevstackPorts are devstack's ports, each moved by offset.
func DevstackPorts(offset int) Ports {
	first := devstackPort + offset
	return Ports{
		HTTP: first, SMTP: first + 1, NATS: first + 2,
		Placement: first + 3, PlacementHealth: first + 4, PlacementMetrics: first + 5,
		Scheduler: first + 6, SchedulerHealth: first + 7, SchedulerMetrics: first + 8,
		EtcdClient: first + 9, EtcdPeer: first + 10, PlacementRaft: first + 11,
	}
}

// SidecarPorts are the ports of an application and its sidecar.
type SidecarPorts struct {
	App, HTTP, GRPC, InternalGRPC, Metrics int
}

// Sidecar are the ports of the application that listens on appPort when nothing is moved, each moved
// by offset.
func Sidecar(appPort, offset int) SidecarPorts {
	n := appPort - 8000
	return SidecarPorts{
		App:          appPort + offset,
		HTTP:         13500 + n + offset,
		GRPC:         14500 + n + offset,
		InternalGRPC: 15500 + n + offset,
		Metrics:      16500 + n + offset,
	}
}

func checkOffset(offset int) error {
	lowest, highest := 8000+offset, Sidecar(devstackPort, offset).Metrics
	if lowest < 1024 || highest > maxPort {
		return fmt.Errorf("port offset %d: ports %d to %d leave the range 1024 to %d", offset, lowest, highest, maxPort)
	}
	return nil
}
