-- Experiment: deal customers out to two variants, and read what came of it.
-- Run sql/recommend.sql and sql/nightly.sql first, then: debut sql -f sql/experiment.sql
-- In this shop nobody was treated differently: the intervals hold zero, but for one in twenty.

CREATE TABLE experiment AS
WITH bought AS (
  SELECT customer_id,
         count(*) FILTER (WHERE timestamp >= '2025-12-01') AS in_december,
         count(*) FILTER (WHERE timestamp >= '2025-08-01' AND timestamp < '2025-12-01') AS before
  FROM 'data/interactions.parquet' WHERE event = 'purchase' GROUP BY customer_id)
SELECT customer_id, assign(customer_id, 'launch list', 'control:1,new:1') AS variant,
       coalesce(in_december, 0) AS outcome, coalesce(before, 0) AS before
FROM 'data/customers.parquet' LEFT JOIN bought USING (customer_id);

-- `sequential` rows may be looked at every day; stop once p_value is at most 0.05. With `before`, cuped needs fewer customers.
SELECT method, metric, variant, round(value, 4) AS value, round(ci_low, 4) AS low, round(ci_high, 4) AS high,
       round(p_value, 4) AS p_value, n
FROM experiment_report(users => (SELECT variant, outcome, before FROM experiment), variants => 'control:1,new:1',
                       planned_users => 1500);

-- What the list without chance would have earned, from what the nightly list with chance did. The launches are too new to
-- have been bought: the reward is that the customer bought from the launch's category in December.
CREATE TABLE log AS
SELECT l.customer_id AS user_id, l.product_id AS item_id, l.propensity,
       CASE WHEN r.item_id IS NULL THEN 0 ELSE 1 END AS target, coalesce(b.bought, false) AS label
FROM 'launches_for_customers.parquet' AS l
JOIN 'data/products.parquet' AS p USING (product_id)
LEFT JOIN (
  SELECT user_id, item_id FROM recommend(
    model => 'taste', k => 5, only_new => true, max_exposure => 300,
    items => (SELECT product_id AS item_id, title AS text, price, launched_at FROM 'data/products.parquet'
              WHERE launched_at >= '2025-12-24'))) AS r
  ON r.user_id = l.customer_id AND r.item_id = l.product_id
LEFT JOIN (
  SELECT DISTINCT customer_id, category, true AS bought
  FROM 'data/interactions.parquet' JOIN 'data/products.parquet' USING (product_id)
  WHERE event = 'purchase' AND timestamp >= '2025-12-01') AS b
  ON b.customer_id = l.customer_id AND b.category = p.category;

SELECT method, metric, round(value, 4) AS value, round(ci_low, 4) AS low, round(ci_high, 4) AS high, n AS customers
FROM experiment_report(interactions => (SELECT * FROM log)) WHERE metric IN ('mean', 'lift', 'effective_rows', 'clipped');
