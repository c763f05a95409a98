// Command inject changes Pods as Dapr's injector does at their creation: it reads a JSON array of them from standard input and
// writes them with their sidecars. --drop-capabilities is the injector's setting sidecarDropALLCapabilities; the other settings are
// those that Dapr's chart has by default.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"

	"github.com/dapr/dapr/pkg/injector/consts"
	"github.com/dapr/dapr/pkg/injector/patcher"
)

// Where Dapr's chart puts its control plane.
const (
	controlPlane  = "dapr-system"
	clusterDomain = "cluster.local"
)

func main() {
	drop := flag.Bool("drop-capabilities", false, "drop all capabilities of the sidecar")
	image := flag.String("image", "", "image of the sidecar")
	flag.Parse()
	if err := run(*drop, *image); err != nil {
		fmt.Fprintln(os.Stderr, "inject:", err)
		os.Exit(1)
	}
}

func run(drop bool, image string) error {
	var pods []*corev1.Pod
	if err := json.NewDecoder(os.Stdin).Decode(&pods); err != nil {
		return err
	}
	for i, pod := range pods {
		c := patcher.NewSidecarConfig(pod)
		c.Mode = consts.ModeKubernetes
		c.Namespace = pod.Namespace
		c.MTLSEnabled = true
		c.Identity = pod.Namespace + ":" + pod.Spec.ServiceAccountName
		c.ImagePullPolicy = corev1.PullIfNotPresent
		c.OperatorAddress = patcher.ServiceAPI.Address(controlPlane, clusterDomain)
		c.SentryAddress = patcher.ServiceSentry.Address(controlPlane, clusterDomain)
		c.PlacementAddress = patcher.ServicePlacement.Address(controlPlane, clusterDomain)
		c.SchedulerEnabled = true
		c.RunAsNonRoot = true
		c.ReadOnlyRootFilesystem = true
		c.SidecarDropALLCapabilities = drop
		c.ControlPlaneNamespace = controlPlane
		c.ControlPlaneTrustDomain = clusterDomain
		c.KubeClusterDomain = clusterDomain
		c.CurrentTrustAnchors = []byte("the certificate authority's certificate")
		c.SidecarImage = image
		c.SetFromPodAnnotations()
		patch, err := c.GetPatch()
		if err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		if pods[i], err = patcher.PatchPod(pod, patch); err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(pods)
}
