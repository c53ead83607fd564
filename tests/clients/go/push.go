// Pushes a registry with client_golang, or prints it as text: push URL-BASE MODE
package main

import (
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	"github.com/prometheus/common/expfmt"
)

func registry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	orders := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shop_orders_total", Help: "Orders."}, []string{"state"})
	orders.WithLabelValues("paid").Add(12)
	orders.WithLabelValues("he said \"no\", \\ and left\nangry").Add(3)
	temp := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "room_temp", Help: "Warmth."}, []string{"room"})
	temp.WithLabelValues("küche 日本").Set(-27.25)
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "web_latency_seconds", Help: "Time.", Buckets: []float64{0.005, 0.5, 1, 1e6}}, []string{"route"})
	size := prometheus.NewSummary(prometheus.SummaryOpts{Name: "web_size_bytes", Help: "Size.", Objectives: map[float64]float64{0.5: 0.05, 0.99: 0.001}})
	for _, value := range []float64{0.001, 0.3, 0.7, 9} {
		latency.WithLabelValues("/a b").Observe(value)
		size.Observe(value * 1000)
	}
	registry.MustRegister(orders, temp, latency, size)
	return registry
}

func main() {
	base, mode := os.Args[1], os.Args[2]
	pusher := push.New(base, "clients").Grouping("lang", "x").Gatherer(registry())
	var err error
	switch mode {
	case "text":
		families, _ := registry().Gather()
		for _, family := range families {
			if _, err = expfmt.MetricFamilyToText(os.Stdout, family); err != nil {
				break
			}
		}
	case "push":
		err = pusher.Push()
	case "add":
		err = pusher.Add()
	case "push_text":
		err = pusher.Format(expfmt.FmtText).Push()
	case "delete":
		err = pusher.Delete()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
