//! Metrics of the process, read when they are scraped. The names are those of the Prometheus client libraries.

use std::fmt;

use procfs::process::Process;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Reads the metrics of this process from `/proc`. What cannot be read is left out.
#[derive(Debug)]
pub(super) struct ProcessMetrics;

/// What `/proc` says about the process.
struct Usage {
    cpu_seconds: f64,
    started: f64,
    resident_bytes: u64,
    threads: i64,
    open_files: Option<usize>,
    max_open_files: Option<u64>,
}

impl Usage {
    fn read() -> procfs::ProcResult<Self> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let ticks = procfs::ticks_per_second() as f64;
        let limits = process.limits()?;
        Ok(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
            started: procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks,
            resident_bytes: stat.rss * procfs::page_size(),
            threads: stat.num_threads,
            open_files: process.fd_count().ok(),
            max_open_files: match limits.max_open_files.soft_limit {
                procfs::process::LimitValue::Value(limit) => Some(limit),
                procfs::process::LimitValue::Unlimited => None,
            },
        })
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Ok(usage) = Usage::read() else {
            return Ok(());
        };
        let cpu = ConstCounter::new(usage.cpu_seconds);
        let help = "CPU time of the process, user and system";
        cpu.encode(encoder.encode_descriptor(
            "process_cpu",
            help,
            Some(&Unit::Seconds),
            cpu.metric_type(),
        )?)?;
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: f64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
        };
        let started = "Start of the process, as Unix time";
        gauge("process_start_time", started, Some(&Unit::Seconds), usage.started)?;
        let resident = usage.resident_bytes as f64;
        gauge(
            "process_resident_memory",
            "Resident memory of the process",
            Some(&Unit::Bytes),
            resident,
        )?;
        gauge(
            "process_threads",
            "Threads of the process",
            None,
            usage.threads as f64,
        )?;
        if let Some(open) = usage.open_files {
            gauge(
                "process_open_fds",
                "Open file descriptors of the process",
                None,
                open as f64,
            )?;
        }
        if let Some(max) = usage.max_open_files {
            gauge(
                "process_max_fds",
                "Limit on open file descriptors",
                None,
                max as f64,
            )?;
        }
        Ok(())
    }
}
