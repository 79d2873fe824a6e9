//! Orders placed while workers are killed: each customer is told, once by key, and nothing is lost.

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use ::supplier::Supplier;
use api_client::{Client, Item, NewOrder, Settings};
use futures_util::{StreamExt, stream};
use testkit::Environment;
use uuid::Uuid;

const IN_FLIGHT: usize = 16;
/// Longer than a lease: when nothing is confirmed for so long, something is lost.
const STUCK_AFTER: Duration = Duration::from_secs(45);
const RUNS: &str = "SELECT id FROM job_runs WHERE kind = 'send_confirmation' AND status = 'succeeded'";
const STARTS: &str =
    "SELECT COALESCE(sum(attempt), 0)::bigint FROM job_runs WHERE kind = 'send_confirmation'";

/// What was seen of a soak that went well.
#[derive(Debug)]
pub struct Soaked {
    /// Confirmations at the supplier, by distinct key.
    pub confirmations: usize,
    /// Those that were sent more than once and recognised there by their key.
    pub recognised: usize,
    /// Starts of jobs, over all workers.
    pub starts: i64,
    /// From the first order to the last confirmation.
    pub took: Duration,
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} confirmations at the supplier, each once by key; {} were sent again and recognised; {} starts in {:.0} s",
            self.confirmations,
            self.recognised,
            self.starts,
            self.took.as_secs_f64()
        )
    }
}

/// Places `orders` with this binary's API, and kills its worker `kills` times while it confirms them.
///
/// # Panics
/// When an order is refused, a confirmation is missing or was not asked for, or nothing moves for 45 seconds.
pub async fn soak(binary: &Path, orders: usize, kills: usize, tell: fn(&str)) -> Soaked {
    let free = ([127, 0, 0, 1], 0).into();
    let supplier = ::supplier::start(free, free).expect("free ports");
    let environment = Environment::new(binary)
        .await
        .set("supplier.url", &format!("http://{}", supplier.address))
        .set("rate_limit.burst", "1000000")
        .set("rate_limit.per_second", "1000000");
    assert!(
        environment.run(&["migrate"]).status.success(),
        "the migrations run"
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
        confirmed(&supplier, kill * orders / (kills + 1)).await;
        worker.signal("KILL");
        worker.wait();
        tell(&format!(
            "kill {kill} of {kills}: {} confirmed so far",
            keys(&supplier).len()
        ));
        worker = environment.work();
    }
    assert_eq!(placing.await.expect("no panic").len(), orders, "orders placed");
    confirmed(&supplier, orders).await;
    let mut connection = environment.database.connect().await;
    let mut recorded = BTreeSet::new();
    let last = Instant::now();
    // The last ones can be told and not yet recorded: they are sent again, and recognised.
    while recorded.len() < orders {
        assert!(
            last.elapsed() < STUCK_AFTER,
            "{} of {orders} recorded",
            recorded.len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        let runs = sqlx::query_scalar::<_, Uuid>(RUNS)
            .fetch_all(&mut connection)
            .await;
        recorded = runs.expect("the runs").iter().map(Uuid::to_string).collect();
    }
    let took = began.elapsed();
    assert_eq!(keys(&supplier), recorded, "told and recorded are the same");
    let accepted = supplier.received().notifications;
    Soaked {
        confirmations: accepted.len(),
        recognised: accepted.values().filter(|count| **count > 1).count(),
        starts: environment.database.count(STARTS).await,
        took,
    }
}

/// Places an order, again under its key where the service says that this may help.
async fn place(client: &Client, number: usize) -> Uuid {
    let (key, began) = (format!("soak-{number}"), Instant::now());
    loop {
        match client.create_order_with_key(&key, &order()).await {
            Ok(order) => return order.id,
            Err(error) => {
                let retryable = error.problem().is_some_and(|problem| problem.retryable);
                assert!(retryable && began.elapsed() < STUCK_AFTER, "{error}");
            }
        }
    }
}

fn keys(supplier: &Supplier) -> BTreeSet<String> {
    supplier.received().notifications.into_keys().collect()
}

/// Waits until so many confirmations have reached the supplier.
async fn confirmed(supplier: &Supplier, wanted: usize) {
    let (mut last, mut moved) = (0, Instant::now());
    while last < wanted {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = keys(supplier).len();
        if now > last {
            (last, moved) = (now, Instant::now());
        }
        assert!(
            moved.elapsed() < STUCK_AFTER,
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
