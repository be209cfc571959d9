-- Train: the model learns the shop's categories from its titles, and becomes a new version if that helps.
-- Run from the repository's root: debut sql -f sql/train.sql
-- Made again, the same call compares with the version that is there; with base => 'aisle' it goes on from it.

CALL finetune(
  model => 'aisle',
  objective => 'classification',
  method => 'lora',
  examples => (SELECT title AS text, category AS label FROM 'data/products.parquet'),
  epochs => 1, max_tokens => 32);

-- What it is good for: products that seem to stand in the wrong category, the surest first.
SELECT title, category, read['label'] AS reads_like, round(read['probability'], 3) AS probability
FROM (SELECT title, category, classify(title, 'aisle') AS read FROM 'data/products.parquet')
WHERE read['label'] <> category
ORDER BY probability DESC LIMIT 5;

-- What happened stays: every run with its options, every value that was measured.
SELECT model, objective, method, status, metric, round(baseline, 4) AS before, round(best, 4) AS after, published
FROM debut.training_runs ORDER BY started_at DESC LIMIT 1;
