/* Search results quote their page. The theme would fetch each page for that,
   which a page may not do from a disk, and quote its buttons as well; the
   texts are in mg-texts.js, made when the book is built (search.py). */
"use strict";
{
  const root = document.documentElement.dataset.content_root;
  window.fetch = async (url) => ({
    async text() {
      Search.htmlToText = (text) => text;
      return window.mgTexts[url.slice(root.length)] ?? "";
    },
  });
}
