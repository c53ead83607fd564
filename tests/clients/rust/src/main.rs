//! Pushes a registry with the crate prometheus, or prints it as text: `URL-BASE MODE`

use prometheus::{
    CounterVec, Encoder, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder, labels,
};

fn registry() -> prometheus::Result<Registry> {
    let registry = Registry::new();
    let orders = CounterVec::new(Opts::new("shop_orders_total", "Orders."), &["state"])?;
    orders.with_label_values(&["paid"]).inc_by(12.0);
    orders.with_label_values(&["he said \"no\", \\ and left\nangry"]).inc_by(3.0);
    let temp = GaugeVec::new(Opts::new("room_temp", "Warmth."), &["room"])?;
    temp.with_label_values(&["küche 日本"]).set(-27.25);
    let buckets = vec![0.005, 0.5, 1.0, 1e6];
    let opts = HistogramOpts::new("web_latency_seconds", "Time.").buckets(buckets);
    let latency = HistogramVec::new(opts, &["route"])?;
    for value in [0.001, 0.3, 0.7, 9.0] {
        latency.with_label_values(&["/a b"]).observe(value);
    }
    registry.register(Box::new(orders))?;
    registry.register(Box::new(temp))?;
    registry.register(Box::new(latency))?;
    Ok(registry)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [base, mode] = std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "usage: BASE MODE")?;
    let families = registry()?.gather();
    let grouping = labels! { "lang".to_owned() => "x".to_owned() };
    match mode.as_str() {
        "text" => TextEncoder::new().encode(&families, &mut std::io::stdout())?,
        "push" => prometheus::push_metrics("clients", grouping, &base, families, None)?,
        "add" => prometheus::push_add_metrics("clients", grouping, &base, families, None)?,
        other => return Err(format!("no mode {other}").into()),
    }
    Ok(())
}
