//! What happens to credentials, as counters of the `metrics` facade.

use super::AuthEvent;

/// One more of `amplitude_sdk_auth_events_total`, with the event's name as label `event`.
pub(super) fn count(event: &AuthEvent<'_>) {
    metrics::counter!("amplitude_sdk_auth_events_total", "event" => event.name()).increment(1);
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    };

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use super::*;
    use crate::server::{Fingerprint, observer::Observers};

    #[derive(Default)]
    struct Kept(Mutex<Vec<(String, Arc<AtomicU64>)>>);

    impl Recorder for Kept {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let name = format!("{} {}", key.name(), labels.join(","));
            let mut kept = self.0.lock().unwrap();
            if let Some((_, count)) = kept.iter().find(|(known, _)| *known == name) {
                return Counter::from_arc(Arc::clone(count));
            }
            let count = Arc::new(AtomicU64::new(0));
            kept.push((name, Arc::clone(&count)));
            Counter::from_arc(count)
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn each_event_counts_under_its_name_and_tells_nothing_else() {
        let kept = Kept::default();
        metrics::with_local_recorder(&kept, || {
            let observers = Observers::default();
            let fingerprint = Fingerprint::of("fake");
            observers.tell(&AuthEvent::CredentialRefused { fingerprint });
            observers.tell(&AuthEvent::CredentialRefused { fingerprint });
            observers.tell(&AuthEvent::BearerUsed { host: "example.com", scope: None });
        });
        let kept = kept.0.lock().unwrap();
        let counts: Vec<_> = kept.iter().map(|(name, count)| (name.as_str(), count.load(Ordering::Relaxed))).collect();
        let name = "amplitude_sdk_auth_events_total event=";
        assert_eq!(counts, [(&*format!("{name}credential_refused"), 2), (&*format!("{name}bearer_used"), 1)]);
    }
}
