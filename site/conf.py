"""How Sphinx makes the reading edition; `tools.site` lays the pages and calls it."""

project = "LoRA Lab"
html_title = "LoRA Lab"
extensions = ["myst_nb", "tools.site.formulas"]

# Notebooks are shown as they were stored.
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "Show the {type}"
nb_code_prompt_hide = "Hide the {type}"
nb_mime_priority_overrides = [("*", "text/html", 0), ("*", "text/plain", 1)]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False
smartquotes = False

# Nothing is fetched from elsewhere: formulas are MathML, fonts and icons come with the theme.
html_math_renderer = "mathml"
html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["reading.css"]
html_js_files = [("reading.js", {"defer": "defer"})]
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "search_bar_text": "Search the lessons",
    "toc_title": "On this page",
    "extra_footer": "The course's code and text: Apache-2.0.",
    "footer_content_items": ["extra-footer.html"],
    "navbar_persistent": [],  # the search has its place in the sidebar
}
html_use_index = False
html_domain_indices = False
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_last_updated_fmt = None
