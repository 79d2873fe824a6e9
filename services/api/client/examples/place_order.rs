//! Places an order, reads it and cancels it: `cargo run -p api_client --example place_order`, with TOKEN and API as
//! `make run` prints them.

use api_client::{Client, Item, Key, NewOrder, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("set {name}; `make run` prints it"));
    let client = Client::new(&variable("API")?, variable("TOKEN")?, Settings::default())?;
    let item = Item {
        sku: "ABC-1234".into(),
        quantity: 2,
        unit_price_cents: 1999,
    };
    let order = NewOrder {
        customer_email: "ada@example.com".into(),
        currency: "EUR".into(),
        items: vec![item.clone()],
        note: None,
    };
    let key = Key::new();
    let placed = client.create_order(&key, &order).await?;
    println!("placed    {placed:?}");
    let read = client.order(placed.id).await?;
    println!(
        "read      {} cents, stale for {:?}",
        read.value.total_cents, read.stale_for
    );
    client.cancel_order(placed.id).await?;
    let gone = client.order(placed.id).await.expect_err("it was cancelled");
    println!("cancelled {gone}");
    println!("to show   {}", gone.user_message());
    Ok(())
}
