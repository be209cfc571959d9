-- Evaluate: how good the recommender is on December, which it was not trained on, compared with simple baselines.
-- Run sql/recommend.sql first, then: debut sql -f sql/evaluate.sql
-- `debut report EVALUATION` shows the result as a page: boost curve, calibration, weeks since launch.

CREATE TABLE result AS
SELECT * FROM evaluate(
  model => 'taste', k => 20, resamples => 200, boosts => '1, 2, 4', weeks => 2,
  interactions => (SELECT customer_id AS user_id, product_id AS item_id, timestamp, quantity FROM 'data/interactions.parquet'
                   WHERE event = 'purchase' AND timestamp >= '2025-12-01'),
  items => (SELECT product_id AS item_id, title AS text, price, launched_at FROM 'data/products.parquet'));

-- New items ranked among themselves.
SELECT method, metric, round(value, 3) AS value, round(ci_low, 3) AS low, round(ci_high, 3) AS high, users, items
FROM result
WHERE candidates = 'new' AND week IS NULL AND metric IN ('recall', 'ndcg', 'auc') ORDER BY metric, value DESC;

-- In the whole catalogue: what boosting new items gains and costs.
SELECT boost, segment, metric, round(max(value), 3) AS value
FROM result
WHERE candidates = 'all' AND boost IS NOT NULL AND metric IN ('recall', 'new_share')
GROUP BY boost, segment, metric ORDER BY metric, segment, boost;

-- Whether the probabilities are calibrated.
SELECT method, metric, round(value, 4) AS value FROM result WHERE metric IN ('log_loss', 'calibration_error') ORDER BY metric, method;

-- Whether the forecasts of launches come true: the share of launches within the intervals (0.9 is right), and the error in buyers.
SELECT method, metric, week AS weeks, round(value, 3) AS value, round(ci_low, 3) AS low, round(ci_high, 3) AS high, items AS launches
FROM result WHERE metric IN ('forecast_coverage', 'forecast_error', 'launch_buyers') ORDER BY metric, method;
