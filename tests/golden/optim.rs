//! Optimisers over several steps, and schedules.

use super::case::{self, Run};
use mexhat::optim::{Optimizer, Schedule};
use mexhat::tape::{Array, Session, Values, interpret};
use mexhat::{Error, Result};

type Runner = fn(&mut Run) -> Result<()>;

pub fn runner(op: &str) -> Option<Runner> {
    Some(match op {
        "lr_schedule" => lr_schedule,
        _ => return None,
    })
}

pub fn steps(op: &str) -> Option<case::Runner> {
    (op == "optimizer").then_some(case::Runner::Steps(|run| Box::pin(optimizer(run))))
}

fn number(run: &Run, name: &str) -> f64 {
    run.case.params[name].as_f64().unwrap_or(0.0)
}

fn config(run: &Run) -> Result<Optimizer> {
    let (momentum, weight_decay) = (number(run, "momentum") as f32, number(run, "weight_decay") as f32);
    let betas = [0, 1].map(|i| run.case.params["betas"][i].as_f64().unwrap_or(0.0));
    let eps = number(run, "eps") as f32;
    match run.case.params["kind"].as_str() {
        Some("sgd") => {
            let nesterov = run.case.params["nesterov"].as_bool().unwrap_or(false);
            Ok(Optimizer::Sgd { momentum, weight_decay, nesterov })
        }
        Some("adam") => Ok(Optimizer::Adam { betas, eps, weight_decay }),
        Some("adamw") => Ok(Optimizer::AdamW { betas, eps, weight_decay }),
        kind => Err(Error::Run(format!("no optimiser {kind:?}"))),
    }
}

/// Replays one tape with the gradient of each step, on the GPU and through the references.
async fn optimizer(run: &mut Run<'_>) -> Result<()> {
    let config = config(run)?;
    let (start, slopes) = (run.stored("p")?, run.stored("g")?);
    let (steps, len) = (slopes.shape[0], start.data.len());
    let values = start.data.iter().map(|v| *v as f32).collect();
    let id = run.state.parameter("p", &start.shape, values);
    let parameter = run.tape.state(&run.state, id);
    let gradient = run.tape.leaf("g", &start.shape);
    let gradients = run.tape.backward_from(&[(parameter, gradient)])?;
    config.apply(&mut run.tape, &mut run.state, &[id], &gradients)?;
    let scalars = run.tape.scalars();

    let mut session = Session::new(run.gpu, &run.state)?;
    let mut compiled = session.compile(&[&run.tape])?;
    let (mut gpu, mut expected, mut host) = (Vec::new(), Vec::new(), Values::default());
    host.set(parameter, start);
    for step in 0..steps {
        let slope = &slopes.data[step * len..][..len];
        let now = config.scalars(number(run, "lr"), step as u64 + 1, 0).0;
        let inputs = [(gradient, slope.iter().map(|v| *v as f32).collect()), (scalars, now.to_vec())];
        compiled[0].run(&inputs.into_iter().collect()).await?;
        session.download_some(&mut run.state, &[id]).await?;
        gpu.extend(run.state.get(id).values.iter().map(|v| f64::from(*v)));
        host.set(gradient, Array { shape: run.tape.shape(gradient).to_vec(), data: slope.to_vec() });
        host.set(scalars, Array::from_f32(&[now.len()], &now));
        interpret(&run.tape, &run.state, &mut host);
        expected.extend(host.get(&run.tape, parameter).data);
    }
    run.direct.push(("p".into(), gpu));
    run.direct.push(("p".into(), expected));
    Ok(())
}

fn lr_schedule(run: &mut Run) -> Result<()> {
    let total = run.size("total") as u64;
    let schedule = match run.case.params["kind"].as_str() {
        Some("constant") => Schedule::Constant,
        Some("cosine") => Schedule::Cosine { total },
        Some("poly") => Schedule::Poly { total, power: number(run, "power") },
        Some("multistep") => {
            let listed = run.case.params["milestones"].as_array().into_iter().flatten();
            let milestones = listed.filter_map(|m| m.as_u64()).collect();
            Schedule::MultiStep { milestones, gamma: number(run, "gamma") }
        }
        kind => return Err(Error::Run(format!("no schedule {kind:?}"))),
    };
    let base = number(run, "base_lr");
    run.direct.push(("lr".into(), (0..=total).map(|i| schedule.lr(base, i)).collect()));
    Ok(())
}
