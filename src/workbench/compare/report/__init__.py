"""The verdict as a page: Markdown, and HTML with plots. Plain strings; light, as the app makes them too."""
