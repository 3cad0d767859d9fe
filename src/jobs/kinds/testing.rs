//! A kind for tests: does what its parameter says.
#![allow(clippy::unwrap_used)]
use std::time::Duration;

use super::Made;
use crate::{
    domain::job::run::Progress,
    jobs::context::{Context, Failure},
};

pub async fn run(context: &Context, does: &str) -> Result<Made, Failure> {
    let words: Vec<&str> = does.trim_start_matches("io ").split(' ').collect();
    match words[..] {
        ["nothing"] => Ok(None),
        ["panic"] => panic!("on purpose"),
        ["fail"] => Err(Failure::new("on purpose")),
        ["fail", "for", "good"] => Err(Failure::permanent("on purpose")),
        ["sleep", ms] => {
            tokio::time::sleep(Duration::from_millis(ms.parse().unwrap())).await;
            Ok(None)
        }
        ["hang"] => std::future::pending().await,
        // Steps of work that is done without waiting, as that of built-in kinds is.
        ["spin"] => loop {
            tokio::task::yield_now().await;
            let until = std::time::Instant::now() + Duration::from_millis(5);
            while std::time::Instant::now() < until {}
        },
        ["flood"] => {
            for number in 0..200_000 {
                context.say(&format!("line {number} of very many"));
                if number % 1_000 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            Ok(None)
        }
        // So many batches, each kept; every attempt fails at its second one.
        ["batches", batches] => {
            let mut done: u64 = context.state()?;
            for step in 0..2 {
                if done >= batches.parse().unwrap() {
                    return Ok(None);
                }
                if step == 1 {
                    return Err(Failure::new("at the second batch"));
                }
                done += 1;
                context.say(&format!("batch {done}"));
                let progress = Progress { done, total: None };
                context.checkpoint(&done, progress).await?;
            }
            Ok(None)
        }
        _ => Err(Failure::permanent("no such thing")),
    }
}
