() => {
  // Gradio puts the button that adds files into another button and names neither: the outer one
  // becomes a group, and the inner one says what it does.
  const mend = () => {
    for (const outer of document.querySelectorAll('button[aria-label="common.upload"]')) {
      const inner = outer.querySelector('button');
      if (inner) outer.setAttribute('role', 'group');
      for (const named of [outer, inner ?? outer]) {
        named.setAttribute('aria-label', 'Add more');
        named.title = 'Add more';
      }
      outer.tabIndex = inner ? -1 : 0;
    }
  };
  new MutationObserver(mend).observe(document.body, {childList: true, subtree: true});
  mend();
}
