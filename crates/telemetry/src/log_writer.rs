//! Writes log lines in a thread of its own: a reader of the log that stalls must delay no request.

use std::io::Write;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::metrics;

/// The largest number of lines that wait to be written; further lines are dropped and counted.
const QUEUE: usize = 8_192;

/// Keeps the thread that writes; dropping it writes what is left, for at most a second.
#[derive(Debug)]
pub struct LogWriter(#[expect(dead_code, reason = "writes what is left on drop")] WorkerGuard);

/// Starts a thread that writes the lines to `output`.
pub fn background_writer(output: impl Write + Send + 'static) -> (NonBlocking, LogWriter) {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE)
        .thread_name("log")
        .finish(output);
    metrics::count_dropped_lines(writer.error_counter());
    (writer, LogWriter(guard))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Receiver, channel},
        time::{Duration, Instant},
    };

    use super::*;

    /// A reader of the log that has stalled.
    struct Stalled(Receiver<()>);

    impl Write for Stalled {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_delays_no_line_and_the_lost_ones_are_counted() {
        let (resume, stalled) = channel();
        let (mut writer, log) = background_writer(Stalled(stalled));
        let started = Instant::now();
        for _ in 0..2 * QUEUE {
            writer.write_all(b"a line\n").expect("never fails");
        }
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
        let lost = writer.error_counter().dropped_lines();
        assert!((QUEUE - 2..=QUEUE).contains(&lost), "{lost}");
        let metrics = crate::metrics::Metrics::new("service", "0.1.0", None).encode();
        assert!(
            metrics.contains(&format!("telemetry_dropped_total{{reason=\"log\"}} {lost}")),
            "{metrics}"
        );
        drop(resume);
        drop(log);
    }
}
