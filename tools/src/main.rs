//! `make soak-jobs`: 10,000 orders, their worker killed 20 times. Ends with 1 when a confirmation is missing.

#[path = "../soak.rs"]
mod soak;

use std::path::Path;

const ORDERS: usize = 10_000;
const KILLS: usize = 20;

#[tokio::main]
async fn main() {
    let binary = std::env::args()
        .nth(1)
        .expect("usage: soak-jobs PATH-OF-THE-API-BINARY");
    println!("placing {ORDERS} orders, and killing the worker {KILLS} times while it confirms them");
    let seen = soak::soak(Path::new(&binary), ORDERS, KILLS, |progress| {
        println!("{progress}")
    })
    .await;
    println!("{seen}");
}
