-- Job: what the week before a day sold, as a file for that day. Running it again for the same day replaces the file.
-- Try it: debut run sql/job.sql --param as_of=2025-12-22
-- Every night: write $run_date and {run_date} in their place, and then debut schedule sql/job.sql --daily 04:00
-- In a location {as_of} is what $as_of is elsewhere. What runs have done is in debut.jobs.

COPY (
  SELECT product_id, count(*) AS purchases, sum(quantity) AS quantity
  FROM 'data/interactions.parquet'
  WHERE event = 'purchase' AND "timestamp" >= $as_of::DATE - INTERVAL '7 days' AND "timestamp" < $as_of::DATE
  GROUP BY product_id
  ORDER BY purchases DESC, product_id
) TO 'sold/as_of={as_of}/week.parquet';

SELECT count(*) AS products, sum(purchases) AS purchases, sum(quantity) AS quantity
FROM 'sold/as_of={as_of}/week.parquet';
