//! Operators of several operands that are broadcast against each other. Part of [`super`].

use super::Gradients;
use crate::autodiff::Error;
use crate::autodiff::broadcast::reduce_output;
use crate::autodiff::context::Context;
use crate::onnx::graph::Value;

/// The gradient of the input at `index`, if it is needed: `make` gives it in the output's shape, it is summed to the
/// input's.
fn passed(
    context: &mut Context<'_>,
    index: usize,
    make: impl FnOnce(&mut Context<'_>) -> Value,
) -> Result<Option<Value>, Error> {
    if !context.wants(index) {
        return Ok(None);
    }
    let operand = context.input(index)?;
    let whole = make(context);
    Ok(Some(reduce_output(context, &whole, &operand)))
}

/// `y = x0 + x1 + ...`
pub(super) fn sum(context: &mut Context<'_>) -> Gradients {
    let dy = context.gradient()?;
    let count = context.node.input.len();
    (0..count).map(|index| passed(context, index, |_| dy.clone())).collect()
}

/// `y = (x0 + x1 + ...) / n`
pub(super) fn mean(context: &mut Context<'_>) -> Gradients {
    let (dy, y) = (context.gradient()?, context.output());
    let count = context.node.input.len();
    let part = context.times(&dy, 1.0 / count as f32, &y);
    (0..count).map(|index| passed(context, index, |_| part.clone())).collect()
}

/// `y = a - b`
pub(super) fn sub(context: &mut Context<'_>) -> Gradients {
    let dy = context.gradient()?;
    let a = passed(context, 0, |_| dy.clone())?;
    let b = passed(context, 1, |_| dy)?;
    // Negated last, when it is as small as the operand.
    Ok(vec![a, b.map(|b| context.graph.node("Neg", &[&b], vec![]))])
}

/// `y = a b`
pub(super) fn mul(context: &mut Context<'_>) -> Gradients {
    let (dy, a, b) = (context.gradient()?, context.input(0)?, context.input(1)?);
    if a == b {
        let half = context.graph.mul(&dy, &a);
        return Ok(vec![Some(context.graph.add(&half, &half))]);
    }
    let da = passed(context, 0, |context| context.graph.mul(&dy, &b))?;
    let db = passed(context, 1, |context| context.graph.mul(&dy, &a))?;
    Ok(vec![da, db])
}

/// `y = a / b`: `da = dy / b`, `db = -da y`
pub(super) fn div(context: &mut Context<'_>) -> Gradients {
    let (dy, b, y) = (context.gradient()?, context.input(1)?, context.output());
    let quotient = context.graph.div(&dy, &b);
    let da = passed(context, 0, |_| quotient.clone())?;
    let db = passed(context, 1, |context| context.graph.mul(&quotient, &y))?;
    Ok(vec![da, db.map(|db| context.graph.node("Neg", &[&db], vec![]))])
}

/// `y = x^p`: `dx = p x^(p-1)`, `dp = y ln x`, the latter 0 where `x` is not positive.
pub(super) fn pow(context: &mut Context<'_>) -> Gradients {
    let (dy, x, p, y) = (context.gradient()?, context.input(0)?, context.input(1)?, context.output());
    let element = context.shapes.element(x.name());
    let exponent = match (element, context.shapes.element(p.name())) {
        (Some(element), Some(other)) if element != other => context.graph.cast(&p, element),
        _ => p.clone(),
    };
    let dx = passed(context, 0, |context| {
        let one = context.scalar(1.0, &x);
        let less = context.graph.sub(&exponent, &one);
        let power = context.graph.node("Pow", &[&x, &less], vec![]);
        let slope = context.graph.mul(&power, &exponent);
        context.graph.mul(&dy, &slope)
    })?;
    let dp = passed(context, 1, |context| {
        let zero = context.scalar(0.0, &x);
        let positive = context.graph.node("Greater", &[&x, &zero], vec![]);
        let log = context.graph.node("Log", &[&x], vec![]);
        let log = context.only_where(&positive, &log, &x);
        let slope = context.graph.mul(&y, &log);
        context.graph.mul(&dy, &slope)
    })?;
    Ok(vec![dx, dp])
}

/// `y = max(x0, x1, ...)` or `min`: the gradient goes to the operand that `y` equals, in equal parts where several do.
pub(super) fn extreme(context: &mut Context<'_>) -> Gradients {
    let (dy, y) = (context.gradient()?, context.output());
    let count = context.node.input.len();
    let wanted: Vec<_> = (0..count).filter(|index| context.wants(*index)).collect();
    let mut equal = vec![None; count];
    for index in &wanted {
        let x = context.input(*index)?;
        equal[*index] = Some(context.graph.node("Equal", &[&x, &y], vec![]));
    }
    let share = if wanted.len() > 1 {
        let one = context.scalar(1.0, &y);
        let ones: Vec<_> = equal.iter().flatten().map(|equal| context.only_where(equal, &one, &y)).collect();
        let ties = context.graph.node("Sum", &ones.iter().collect::<Vec<_>>(), vec![]);
        // Where a constant operand won, nothing is shared out.
        let ties = context.graph.node("Max", &[&ties, &one], vec![]);
        context.graph.div(&dy, &ties)
    } else {
        dy
    };
    let part = |(index, equal): (usize, Option<Value>)| match equal {
        Some(equal) => passed(context, index, |context| context.only_where(&equal, &share, &y)),
        None => Ok(None),
    };
    equal.into_iter().enumerate().map(part).collect()
}

/// `y = condition ? a : b`
pub(super) fn choose(context: &mut Context<'_>) -> Gradients {
    let (dy, condition, y) = (context.gradient()?, context.input(0)?, context.output());
    let zero = context.scalar(0.0, &y);
    let a = passed(context, 1, |context| context.graph.node("Where", &[&condition, &dy, &zero], vec![]))?;
    let b = passed(context, 2, |context| context.graph.node("Where", &[&condition, &zero, &dy], vec![]))?;
    Ok(vec![None, a, b])
}
