-- Nightly: this week's launches for every customer, as a file. No launch is shown to more than 300 customers.
-- Run sql/recommend.sql first, then: debut sql -f sql/nightly.sql
-- `propensity` is the probability with which a row was chosen: evaluate(...) reads it to judge the list by its results.
-- `purchases` are those that speak for a launch, for the line "because you bought"; `attributions` add up to ln(score / (1 - score)).

COPY (
  SELECT user_id AS customer_id, rank, item_id AS product_id, score, probability, propensity, purchases, attributions
  FROM recommend(
    model => 'taste', k => 5, only_new => true, max_exposure => 300, explore => true, prior_strength => 200, explain => true,
    items => (SELECT product_id AS item_id, title AS text, price, launched_at FROM 'data/products.parquet'
              WHERE launched_at >= '2025-12-24'))
  ORDER BY customer_id, rank
) TO 'launches_for_customers.parquet' STORED AS PARQUET;

SELECT count(*) AS rows, count(DISTINCT customer_id) AS customers, count(DISTINCT product_id) AS products,
       round(avg(probability), 4) AS mean_probability, max(propensity) <= 1 AS shown_by_chance,
       count(*) FILTER (WHERE cardinality(purchases) > 0) AS with_a_reason
FROM 'launches_for_customers.parquet';
