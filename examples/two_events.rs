//! Sends two events and waits until Amplitude has them. The first example of the README.

use amplitude_sdk::{Client, Config, Event};
use std::time::Duration;

fn main() -> amplitude_sdk::Result<()> {
    // AMPLITUDE_API_KEY; AMPLITUDE_REGION=eu for a project in the EU.
    let config = Config::from_env()?.on_notice(|notice| eprintln!("amplitude: {notice}"));
    let client = Client::new(config)?;

    client.track(
        Event::builder("Product Purchased")
            .user_id("user123")
            .property("product_id", "sku456")
            .property("price", 29.99)
            .build()?,
    )?;
    client.track(Event::builder("Item Added to Cart").user_id("user456").property("item_name", "Laptop").build()?)?;

    client.shutdown_blocking(Duration::from_secs(10));
    let counts = client.counts();
    println!("{} delivered, {} rejected, {} not sent", counts.delivered, counts.rejected, counts.dropped);
    Ok(())
}
