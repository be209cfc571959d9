-- Train: learn the shop's categories from its titles, and publish the model if it is better than before.
-- Run from the repository's root: debut sql -f sql/train.sql
-- A second call compares with the version in use; with base => 'aisle' it starts from that version.

CALL finetune(
  model => 'aisle',
  objective => 'classification',
  method => 'lora',
  examples => (SELECT title AS text, category AS label FROM 'data/products.parquet'),
  epochs => 1, max_tokens => 32);

-- One use: products that may be in the wrong category, the most certain first.
SELECT title, category, read['label'] AS reads_like, round(read['probability'], 3) AS probability
FROM (SELECT title, category, classify(title, 'aisle') AS read FROM 'data/products.parquet')
WHERE read['label'] <> category
ORDER BY probability DESC LIMIT 5;

-- Every run is recorded, with its options and metrics.
SELECT model, objective, method, status, metric, round(baseline, 4) AS before, round(best, 4) AS after, published
FROM debut.training_runs ORDER BY started_at DESC LIMIT 1;
