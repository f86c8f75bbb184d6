-- Gives the current transaction the settings of the application's sessions:
-- the search_path that the role and the database configure, row level security
-- applied, and the claims that its policies read.
-- $1 request.jwt.claims. https://docs.postgrest.org/en/stable/references/transactions.html
SELECT pg_catalog.set_config('search_path', s.reset_val, true),
       pg_catalog.set_config('row_security', 'on', true),
       pg_catalog.set_config('request.jwt.claims', $1, true)
FROM pg_catalog.pg_settings s
WHERE s.name = 'search_path';
