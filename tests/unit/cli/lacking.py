"""A target that stands on something that isn't installed."""

import a_cloud_sdk  # type: ignore[import-not-found]

Lacking = a_cloud_sdk.Lacking
