-- The newest reading of points, as a caller may see it.

-- name: latest_visible_of
select point_id, ts, value, quality from point_latest_visible where point_id = any(%(point_ids)s)
