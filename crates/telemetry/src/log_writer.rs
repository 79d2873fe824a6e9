//! Writes log lines in a thread of its own: a reader of the log that stalls must delay no request.

use std::{io::Write, time::Duration};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::metrics;

/// The largest number of lines that wait to be written; further lines are dropped and counted.
const QUEUE: usize = 8_192;

/// The longest time for the remaining lines to be written when the process ends.
pub const LOG_FLUSH: Duration = Duration::from_secs(1);

/// Keeps the thread that writes; dropping it writes what is left, within [`LOG_FLUSH`].
#[derive(Debug)]
pub struct LogWriter(Option<WorkerGuard>);

impl Drop for LogWriter {
    fn drop(&mut self) {
        let (done, flushed) = std::sync::mpsc::channel();
        let guard = self.0.take();
        // If the queue is full, the guard prints a message, which would wait for the reader that has stalled.
        std::thread::spawn(move || {
            drop(guard);
            let _ = done.send(());
        });
        let _ = flushed.recv_timeout(LOG_FLUSH);
    }
}

/// Starts a thread that writes the lines to `output`.
pub fn background_writer(output: impl Write + Send + 'static) -> (NonBlocking, LogWriter) {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE)
        .thread_name("log")
        .finish(output);
    metrics::count_dropped_lines(writer.error_counter());
    (writer, LogWriter(Some(guard)))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Receiver, channel},
        time::Instant,
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
        let stopping = Instant::now();
        drop(log);
        assert!(stopping.elapsed() < 2 * LOG_FLUSH, "{:?}", stopping.elapsed());
        drop(resume);
    }
}
