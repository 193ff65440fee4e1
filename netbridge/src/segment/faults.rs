//! Faults of links and partitions, and what links count.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Inner;
use super::inner::{How, State};
use super::user_path::{DIRECTIONS, add, carried, unless_gone};
use crate::kernel::netem;
use crate::stats::LinkStats;
use crate::switch::Rules;
use crate::{Direction, Error, Impairment};

impl Inner {
    pub(crate) async fn impair(
        self: &Arc<Self>,
        link: &Arc<str>,
        direction: Direction,
        impairment: &Impairment,
    ) -> Result<(), Error> {
        impairment.check()?;
        let impairment = Some(impairment.clone()).filter(|impairment| !impairment.is_none());
        self.set_impairments(link.clone(), vec![(direction, impairment)]).await
    }

    pub(crate) async fn clear(self: &Arc<Self>, link: &Arc<str>) -> Result<(), Error> {
        self.set_impairments(link.clone(), DIRECTIONS.map(|direction| (direction, None)).to_vec()).await
    }

    async fn set_impairments(
        self: &Arc<Self>,
        link: Arc<str>,
        changes: Vec<(Direction, Option<Impairment>)>,
    ) -> Result<(), Error> {
        let inner = self.clone();
        let done = self.whole(async move {
            let mut state = inner.state.lock().await;
            for (direction, impairment) in &changes {
                inner.look_for_netem(&mut state, *direction, impairment.as_ref()).await;
                let entry = state.links.entry(link.clone()).or_default();
                entry.impairments[usize::from(*direction == Direction::In)].clone_from(impairment);
                if let Some(impairment) = impairment {
                    let way = if *direction == Direction::Out { "out" } else { "in" };
                    state.comment(Some(&link), &format!("link {link}: {way}: {impairment}"));
                }
            }
            if changes.iter().all(|(_, impairment)| impairment.is_none()) {
                state.comment(Some(&link), &format!("link {link}: clear"));
            }
            if let Some(switch) = &state.switch {
                let name = link.clone();
                let told = switch.call(move |engine| {
                    for (direction, impairment) in changes {
                        engine.impair_link(&name, direction, impairment.as_ref());
                    }
                });
                told.await.map_err(inner.broken("impair a link"))?;
            }
            inner.settle(&mut state, &link).await
        });
        done.await
    }

    /// Finds out whether the kernel can do what is asked for, unless that is known.
    async fn look_for_netem(&self, state: &mut State, direction: Direction, impairment: Option<&Impairment>) {
        let known = &mut state.netem[usize::from(direction == Direction::In)];
        let (Some(impairment), Some(namespace), Some(_), None) = (impairment, &self.namespace, &self.bridge, &known)
        else {
            return;
        };
        if netem::can(impairment).is_ok() {
            let available = netem::available(namespace, direction).await;
            if let Err(error) = &available {
                tracing::debug!(segment = %self.name, %error, "impairments are done in user space");
            }
            *known = Some(available.is_ok());
        }
    }

    pub(crate) async fn set_link(self: &Arc<Self>, link: &Arc<str>, up: bool) -> Result<(), Error> {
        let (inner, link) = (self.clone(), link.clone());
        let done = self.whole(async move {
            let mut state = inner.state.lock().await;
            state.comment(Some(&link), &format!("link {link}: {}", if up { "up" } else { "down" }));
            let entry = state.links.entry(link.clone()).or_default();
            entry.down = !up;
            for plugged in &entry.ports {
                if let How::Kernel(port) = &plugged.how {
                    unless_gone(&port.device, port.device.set_up(up).await).await?;
                }
            }
            if let Some(switch) = &state.switch {
                switch
                    .call(move |engine| engine.set_link(&link, up))
                    .await
                    .map_err(inner.broken("take a link down or up"))?;
            }
            Ok(())
        });
        done.await
    }

    pub(super) async fn partition(self: &Arc<Self>, groups: Vec<Vec<String>>, one_way: bool) -> Result<(), Error> {
        let sign = if one_way { " -> " } else { " | " };
        let text = groups.iter().map(|group| group.join(" ")).collect::<Vec<_>>().join(sign);
        self.change_rules(format!("partition: {text}"), move |state| {
            for (index, group) in groups.iter().enumerate() {
                for (from, to) in
                    groups[index + 1..].iter().flatten().flat_map(|to| group.iter().map(move |from| (from, to)))
                {
                    state.rules.block(from, to);
                    if !one_way {
                        state.rules.block(to, from);
                    }
                }
            }
        })
        .await
    }

    pub(super) async fn isolate(self: &Arc<Self>, link: &str) -> Result<(), Error> {
        let link = link.to_owned();
        self.change_rules(format!("isolate: {link}"), move |state| state.rules.isolate(&link)).await
    }

    pub(super) async fn heal(self: &Arc<Self>) -> Result<(), Error> {
        self.change_rules("heal".to_owned(), |state| state.rules = Rules::default()).await
    }

    async fn change_rules(
        self: &Arc<Self>,
        text: String,
        change: impl FnOnce(&mut State) + Send + 'static,
    ) -> Result<(), Error> {
        let inner = self.clone();
        let done = self.whole(async move {
            let mut state = inner.state.lock().await;
            state.comment(None, &text);
            let before = state.rules.clone();
            change(&mut state);
            if let Some(switch) = &state.switch {
                let rules = state.rules.clone();
                let told = switch.call(move |engine| engine.set_rules(rules));
                told.await.map_err(inner.broken("change the partitions"))?;
            }
            let links: Vec<_> = state.links.keys().cloned().collect();
            for link in links {
                if before.concern(&link) != state.rules.concern(&link) {
                    inner.settle(&mut state, &link).await?;
                }
            }
            Ok(())
        });
        done.await
    }

    pub(crate) async fn link_stats(self: &Arc<Self>, link: &Arc<str>) -> Result<LinkStats, Error> {
        let state = self.state.lock().await;
        self.stats_of(&state, link).await
    }

    pub(super) async fn stats(self: &Arc<Self>) -> Result<BTreeMap<String, LinkStats>, Error> {
        let state = self.state.lock().await;
        let mut all = BTreeMap::new();
        for link in state.links.keys() {
            all.insert(link.to_string(), self.stats_of(&state, link).await?);
        }
        Ok(all)
    }

    async fn stats_of(&self, state: &State, link: &Arc<str>) -> Result<LinkStats, Error> {
        let mut counts = LinkStats::default();
        if let Some(entry) = state.links.get(link) {
            add(&mut counts, entry.carried);
            counts.out.malformed += entry.refused.iter().map(|refused| refused.load(Ordering::Relaxed)).sum::<u64>();
            for plugged in &entry.ports {
                if let How::Kernel(port) = &plugged.how {
                    add(&mut counts, carried(port).await);
                }
            }
        }
        if let Some(switch) = &state.switch {
            let name = link.clone();
            let told = switch.call(move |engine| engine.stats(&name)).await;
            add(&mut counts, told.map_err(self.broken("ask the switch for its counts"))?);
        }
        Ok(counts)
    }
}
