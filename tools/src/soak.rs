//! Soak test: orders are placed while their worker is killed. Each is confirmed once by key, and none is lost.

#![expect(
    clippy::disallowed_methods,
    reason = "a tool has no shutdown to wait in, and calls what it started"
)]

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use ::supplier::Supplier;
use api_client::{Client, Item, Key, NewOrder, Settings};
use futures_util::{StreamExt, stream};
use testkit::ProcessEnvironment;
use uuid::Uuid;

const IN_FLIGHT: usize = 16;
/// Longer than a lease: if nothing is confirmed for this long, something is lost.
const STUCK_AFTER: Duration = Duration::from_secs(45);
const RUNS: &str = "SELECT id FROM job_runs WHERE kind = 'send_confirmation' AND status = 'succeeded'";
const STARTS: &str =
    "SELECT COALESCE(sum(attempt), 0)::bigint FROM job_runs WHERE kind = 'send_confirmation'";

/// The figures of a successful soak test.
#[derive(Debug)]
pub struct Soaked {
    /// Confirmations that the supplier accepted, by distinct key.
    pub confirmations: usize,
    /// Confirmations that were sent more than once, and recognised by their key.
    pub recognised: usize,
    /// Attempts that were started, over all workers.
    pub starts: i64,
    /// Time from the first order to the last confirmation.
    pub took: Duration,
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} confirmations accepted, each once by key; {} were resent and recognised; {} attempts in {:.0} s",
            self.confirmations,
            self.recognised,
            self.starts,
            self.took.as_secs_f64()
        )
    }
}

/// Places `orders` orders with the API of `binary`, and kills its worker `kills` times while it confirms them.
/// `progress` is called after each kill.
///
/// # Panics
/// When an order is refused, a confirmation is missing or unexpected, or there is no progress for 45 seconds.
pub async fn soak(binary: &Path, orders: usize, kills: usize, progress: fn(&str)) -> Soaked {
    let free = ([127, 0, 0, 1], 0).into();
    let supplier = ::supplier::start(free, free).expect("free ports");
    let environment = ProcessEnvironment::new(binary)
        .await
        .set("supplier.url", &format!("http://{}", supplier.address))
        .set("rate_limit.burst", "1000000")
        .set("rate_limit.per_second", "1000000");
    assert!(
        environment.run(&["migrate"]).status.success(),
        "migrations must succeed"
    );
    let api = environment.serve();
    api.wait_for_probe("/readyz", 200).await;
    let client =
        Client::new(&api.public, environment.token("alice"), Settings::default()).expect("an address");

    let began = Instant::now();
    let placing = tokio::spawn(async move {
        let placed = stream::iter(0..orders)
            .map(|number| place(&client, number))
            .buffer_unordered(IN_FLIGHT);
        placed.collect::<BTreeSet<Uuid>>().await
    });
    let mut worker = environment.work();
    for kill in 1..=kills {
        wait_for_confirmations(&supplier, kill * orders / (kills + 1)).await;
        worker.signal("KILL");
        worker.wait();
        progress(&format!(
            "kill {kill} of {kills}: {} confirmed so far",
            confirmed_keys(&supplier).len()
        ));
        worker = environment.work();
    }
    assert_eq!(placing.await.expect("no panic").len(), orders, "orders placed");
    wait_for_confirmations(&supplier, orders).await;
    let mut connection = environment.database.connect().await;
    let mut recorded = BTreeSet::new();
    let waiting = Instant::now();
    // The last confirmations may have arrived without being recorded: they are sent again, and recognised.
    while recorded.len() < orders {
        assert!(
            waiting.elapsed() < STUCK_AFTER,
            "stuck at {} of {orders} recorded confirmations",
            recorded.len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        let runs = sqlx::query_scalar::<_, Uuid>(RUNS)
            .fetch_all(&mut connection)
            .await;
        recorded = runs.expect("the runs").iter().map(Uuid::to_string).collect();
    }
    let took = began.elapsed();
    assert_eq!(
        confirmed_keys(&supplier),
        recorded,
        "accepted and recorded confirmations must be the same"
    );
    let accepted = supplier.received().notifications;
    Soaked {
        confirmations: accepted.len(),
        recognised: accepted.values().filter(|count| **count > 1).count(),
        starts: environment.database.count(STARTS).await,
        took,
    }
}

/// Places an order, and repeats it with the same key while the problem is retryable.
async fn place(client: &Client, number: usize) -> Uuid {
    let (key, began) = (Key::from(format!("soak-{number}")), Instant::now());
    loop {
        match client.create_order(&key, &order()).await {
            Ok(order) => return order.id,
            Err(error) => {
                let retryable = error.problem().is_some_and(|problem| problem.retryable);
                assert!(retryable && began.elapsed() < STUCK_AFTER, "{error}");
            }
        }
    }
}

fn confirmed_keys(supplier: &Supplier) -> BTreeSet<String> {
    supplier.received().notifications.into_keys().collect()
}

/// Waits until the supplier has accepted `wanted` confirmations.
async fn wait_for_confirmations(supplier: &Supplier, wanted: usize) {
    let (mut last, mut progressed) = (0, Instant::now());
    while last < wanted {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = confirmed_keys(supplier).len();
        if now > last {
            (last, progressed) = (now, Instant::now());
        }
        assert!(
            progressed.elapsed() < STUCK_AFTER,
            "stuck at {last} of {wanted} confirmations"
        );
    }
}

fn order() -> NewOrder {
    NewOrder {
        customer_email: "ada@example.com".to_owned(),
        currency: "EUR".to_owned(),
        items: vec![Item {
            sku: "ABC-1234".to_owned(),
            quantity: 2,
            unit_price_cents: 1_999,
        }],
        note: None,
    }
}
