-- Train: the model learns from this shop which products belong together, and becomes a new version if that helps.
-- Run from the repository's root: debut sql -f sql/train.sql
-- A night's job may run it every night: `base` goes on from the last version, and `since` looks at what is new.

CALL finetune(
  model => 'shop',
  objective => 'contrastive',
  method => 'lora',
  interactions => (SELECT customer_id AS user_id, product_id AS item_id, timestamp
                   FROM 'data/interactions.parquet' WHERE event <> 'view' AND customer_id <= 300),
  items => (SELECT product_id AS item_id, title AS text FROM 'data/products.parquet' WHERE title IS NOT NULL),
  split => 'time', epochs => 1, max_steps => 40, max_tokens => 32);

-- What happened stays: every run with its options, every value that was measured.
SELECT model, objective, method, status, metric, round(baseline, 4) AS before, round(best, 4) AS after, published
FROM debut.training_runs ORDER BY started_at DESC LIMIT 1;
