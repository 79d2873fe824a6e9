#![expect(clippy::disallowed_methods, reason = "a test ends with its tasks")]

use super::*;

const OPEN_DURATION: Duration = Duration::from_secs(5);
const LONGEST_OPEN: Duration = Duration::from_secs(6);

fn breaker(trip: TripPolicy) -> Breaker {
    Breaker::new(BreakerSettings {
        trip,
        open_duration: OPEN_DURATION,
    })
}

fn is_open(result: &Result<(), BreakerError<()>>) -> bool {
    matches!(result, Err(BreakerError::Open(_)))
}

async fn call(breaker: &Breaker, result: Result<(), ()>) -> Result<(), BreakerError<()>> {
    breaker.call(async move { result }).await
}

#[tokio::test(start_paused = true)]
async fn opens_after_consecutive_failures_and_closes_after_one_probe() {
    let breaker = breaker(TripPolicy::ConsecutiveFailures(5));
    for _ in 0..4 {
        assert_eq!(call(&breaker, Err(())).await, Err(BreakerError::Failed(())));
    }
    assert_eq!(call(&breaker, Ok(())).await, Ok(()));
    for _ in 0..5 {
        assert_eq!(call(&breaker, Err(())).await, Err(BreakerError::Failed(())));
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    tokio::time::advance(Duration::from_secs(3)).await;
    let Err(BreakerError::Open(wait)) = call(&breaker, Ok(())).await else {
        panic!("it is open")
    };
    assert!(
        (Duration::from_secs(1)..=Duration::from_secs(3)).contains(&wait),
        "{wait:?}"
    );
    assert!(is_open(&call(&breaker, Ok(())).await));
    tokio::time::advance(LONGEST_OPEN).await;

    let probe = breaker.call(async {
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(is_open(&call(&breaker, Ok(())).await), "one probe at a time");
        Ok::<_, ()>(())
    });
    assert_eq!(probe.await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(
        call(&breaker, Err(())).await,
        Err(BreakerError::Failed(())),
        "the count starts over"
    );
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_reopens_and_a_dropped_probe_allows_another() {
    let breaker = breaker(TripPolicy::ConsecutiveFailures(1));
    call(&breaker, Err(())).await.expect_err("it fails");
    tokio::time::advance(LONGEST_OPEN).await;
    assert_eq!(
        call(&breaker, Err(())).await,
        Err(BreakerError::Failed(())),
        "a probe"
    );
    assert!(
        is_open(&call(&breaker, Ok(())).await),
        "open for the full duration again"
    );
    tokio::time::advance(LONGEST_OPEN).await;
    let hanging = breaker.call(std::future::pending::<Result<(), ()>>());
    let dropped = tokio::time::timeout(Duration::from_secs(1), hanging).await;
    dropped.expect_err("it never ends");
    assert_eq!(call(&breaker, Ok(())).await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn opens_at_the_failure_rate_but_only_from_min_calls() {
    let breaker = breaker(TripPolicy::FailureRate {
        threshold: 0.5,
        min_calls: 10,
        window: Duration::from_secs(30),
    });
    for call_number in 0..9 {
        let result = if call_number % 2 == 0 { Err(()) } else { Ok(()) };
        assert!(!is_open(&call(&breaker, result).await));
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(call(&breaker, Ok(())).await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn calls_admitted_before_opening_are_not_counted_after_it() {
    let breaker = breaker(TripPolicy::ConsecutiveFailures(1));
    let fail_after = |delay: Duration| {
        let breaker = breaker.clone();
        tokio::spawn(async move {
            let failing = async {
                tokio::time::sleep(delay).await;
                Err::<(), _>(())
            };
            breaker.call(failing).await
        })
    };
    let (while_open, afterwards) = (fail_after(OPEN_DURATION / 5), fail_after(LONGEST_OPEN * 2));
    tokio::task::yield_now().await;
    call(&breaker, Err(())).await.expect_err("it opens");
    while_open.await.expect("it ends").expect_err("it fails");
    assert_eq!(breaker.state(), BreakerState::Open);
    tokio::time::sleep(LONGEST_OPEN).await;
    assert_eq!(call(&breaker, Ok(())).await, Ok(()), "a probe");
    afterwards.await.expect("it ends").expect_err("it fails");
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_failure_rate_starts_over_after_closing() {
    let breaker = breaker(TripPolicy::FailureRate {
        threshold: 0.5,
        min_calls: 2,
        window: Duration::from_hours(1),
    });
    for _ in 0..2 {
        call(&breaker, Err(())).await.expect_err("it fails");
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    tokio::time::advance(LONGEST_OPEN).await;
    assert_eq!(call(&breaker, Ok(())).await, Ok(()), "a probe");
    call(&breaker, Err(())).await.expect_err("it fails");
    assert_eq!(breaker.state(), BreakerState::Closed, "one call in the window");
}

#[tokio::test(start_paused = true)]
async fn breakers_that_opened_together_do_not_probe_together() {
    let mut breakers = Vec::new();
    for _ in 0..100 {
        let breaker = breaker(TripPolicy::ConsecutiveFailures(1));
        call(&breaker, Err(())).await.expect_err("it opens");
        breakers.push(breaker);
    }
    tokio::time::advance(OPEN_DURATION).await;
    let mut probes = 0;
    for breaker in &breakers {
        probes += usize::from(call(breaker, Ok(())).await.is_ok());
    }
    assert!((1..100).contains(&probes), "{probes} of 100");
}

#[tokio::test(start_paused = true)]
async fn calls_older_than_the_window_are_not_counted() {
    let breaker = breaker(TripPolicy::FailureRate {
        threshold: 0.5,
        min_calls: 4,
        window: Duration::from_secs(30),
    });
    for _ in 0..3 {
        call(&breaker, Err(())).await.expect_err("it fails");
    }
    tokio::time::advance(Duration::from_secs(31)).await;
    call(&breaker, Err(())).await.expect_err("it fails");
    assert_eq!(breaker.state(), BreakerState::Closed, "one call in the window");
    for _ in 0..3 {
        call(&breaker, Err(())).await.expect_err("it fails");
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    assert_eq!(breaker.state(), BreakerState::Open, "four calls in the window");
}
